"""What the types of many services have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.cloud.rehearsal.kind import Aws, Change
    from infra.cloud.rehearsal.values import Props


def pairs(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Return tags as most of AWS's calls take them."""
    return [{"Key": name, "Value": value} for name, value in (tags or {}).items()]


def mapping(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Return tags as a program writes them; AWS's own are not ours to keep."""
    return {each["Key"]: each["Value"] for each in tags or () if not each["Key"].startswith("aws:")}


def given(wanted: Props, **names: str) -> dict[str, Any]:
    """Return the arguments of a call, `Argument="property"`, of those properties that are set."""
    return {argument: wanted[name] for argument, name in names.items() if wanted.get(name) is not None}


def found(answer: Mapping[str, Any], **names: str) -> Props:
    """Return the properties, `property="Argument"`, of what an answer has."""
    return {name: answer[argument] for name, argument in names.items() if answer.get(argument) is not None}


def pascal(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a block with its names as most of AWS's calls have them: `fromPort` is `FromPort`."""
    match value:
        case dict():
            return {name[:1].upper() + name[1:]: pascal(each) for name, each in value.items() if each is not None}
        case list():
            return [pascal(each) for each in value]
        case _:
            return value


def camel(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a block of an answer with its names as a program has them: `FromPort` is `fromPort`."""
    match value:
        case dict():
            return {name[:1].lower() + name[1:]: camel(each) for name, each in value.items() if each is not None}
        case list():
            return [camel(each) for each in value]
        case _:
            return value


def retag(read: Any, add: Any, remove: Any) -> Change:  # noqa: ANN401 - three calls
    """Return how tags are changed: `read(aws, id) -> dict`, `add(aws, id, pairs)`, `remove(aws, id, names)`."""

    def change(aws: Aws, made: str, wanted: Props) -> None:
        there, tags = read(aws, made), wanted.get("tags") or {}
        if surplus := sorted(set(there) - set(tags)):
            remove(aws, made, surplus)
        if tags:
            add(aws, made, pairs(tags))

    return change
