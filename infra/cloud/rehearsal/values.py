"""Values as Pulumi's protocol carries them, and as Python has them."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format, struct_pb2

# The wire's words for what is not known yet and for what is a secret; source: pulumi/sdk, resource/plugin/rpc.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark of one  # nosec B105

Props = dict[str, Any]


def plain(given: struct_pb2.Struct) -> Props:
    """Return a structure's values: whole numbers as int, secrets without their mark, null left out."""
    return {name: value for name, value in _plain(json_format.MessageToDict(given)).items() if value is not None}


def structure(values: Props) -> struct_pb2.Struct:
    """Return values as the wire carries them."""
    made = struct_pb2.Struct()
    json_format.ParseDict(_wire(values), made)
    return made


def has_unknown(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether some part of it is not known before it is created."""
    match value:
        case dict():
            return any(has_unknown(each) for each in value.values())
        case list():
            return any(has_unknown(each) for each in value)
        case _:
            return bool(value == UNKNOWN)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case {"value": inner} if value.get(_SIGNATURE) == _SECRET:
            return _plain(inner)
        case dict():
            return {name: _plain(each) for name, each in value.items() if name != "__defaults"}
        case list():
            return [_plain(each) for each in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _wire(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case dict():
            return {name: _wire(each) for name, each in value.items() if each is not None}
        case list() | tuple() | set() | frozenset():
            return [_wire(each) for each in value]
        case _:
            return value
