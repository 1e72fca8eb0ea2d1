"""JSON-RPC as bitcoind speaks it: versions 1.x and 2.0, batches, named parameters, error codes, HTTP statuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from infra.local.node.errors import Code, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.local.node.node import Node

REQUIRED: Any = object()
WARMING_UP = "Loading block index…"
_STATUS = {Code.INVALID_REQUEST: 400, Code.METHOD_NOT_FOUND: 404}
_NAMES = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter: its name, the JSON types it may have, and its default (`REQUIRED` when there is none)."""

    name: str
    types: tuple[type, ...]
    default: Any = REQUIRED


@dataclass(frozen=True, slots=True)
class Method:
    """A method: what to call with the node and the parameters, and its line in the help."""

    name: str
    call: Callable[..., Any]
    arguments: tuple[Argument, ...]
    help: str

    @property
    def usage(self) -> str:
        """The line that `help` shows: optional parameters in parentheses."""
        words = [item.name if item.default is REQUIRED else f"( {item.name} )" for item in self.arguments]
        return " ".join([self.name, *words])


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer: its status, and its body (JSON, or empty)."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Request:
    id: Any
    version_2: bool
    notification: bool


class Dispatcher:
    """Turns a request's body into a reply. While `node` is None everything is answered with the warm-up error."""

    def __init__(self, methods: dict[str, Method], failed: Callable[[str, Exception], None]) -> None:
        self._methods = methods
        self._failed = failed
        self.node: Node | None = None

    def handle(self, body: bytes) -> Reply:
        """Answer one body; never raises, whatever the body is."""
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError:
            return _reply(500, _answer(_Request(None, False, False), RpcError(Code.PARSE, "Parse error")))
        if isinstance(request, list):
            answers = [answer for answer in (self._single(item) for item in request) if answer is not None]
            if request and not answers:
                return Reply(204, b"")
            return _reply(200, [answer for _, answer in answers])
        if not isinstance(request, dict):
            problem = RpcError(Code.PARSE, "Top-level object parse error")
            return _reply(500, _answer(_Request(None, False, False), problem))
        single = self._single(request)
        return _reply(*single) if single else Reply(204, b"")

    def _single(self, request: Any) -> tuple[int, dict[str, Any]] | None:  # noqa: ANN401 - anything that JSON holds
        envelope = _Request(None, False, False)
        try:
            envelope = _envelope(request)
            result = self._call(request)
        except RpcError as error:
            if envelope.notification:
                return None
            status = 200 if envelope.version_2 else _STATUS.get(error.code, 500)
            return status, _answer(envelope, error)
        return None if envelope.notification else (200, _answer(envelope, result))

    def _call(self, request: dict[str, Any]) -> Any:  # noqa: ANN401 - a method's own result
        if "method" not in request or request["method"] is None:
            raise RpcError(Code.INVALID_REQUEST, "Missing method")
        name = request["method"]
        if not isinstance(name, str):
            raise RpcError(Code.INVALID_REQUEST, "Method must be a string")
        params = request.get("params")
        if not isinstance(params, (list, dict, type(None))):
            raise RpcError(Code.INVALID_REQUEST, "Params must be an array or object")
        node = self.node
        if node is None:
            raise RpcError(Code.IN_WARMUP, WARMING_UP)
        method = self._methods.get(name)
        if method is None:
            raise RpcError(Code.METHOD_NOT_FOUND, "Method not found")
        values = bind(method, params or [])
        try:
            return method.call(node, *values)
        except RpcError:
            raise
        # One request that trips over something unforeseen must not take the connection or the node with it.
        except Exception as error:
            self._failed(name, error)
            raise RpcError(Code.MISC, f"{type(error).__name__} in {name}: see the node's log") from error


def bind(method: Method, params: list[Any] | dict[str, Any]) -> list[Any]:
    """Return the values for a method's parameters; raise RpcError for one missing, unknown or of a wrong type."""
    arguments = method.arguments
    if isinstance(params, dict):
        names = [item.name for item in arguments]
        named = {key: value for key, value in params.items() if key != "args"}
        if unknown := next((key for key in named if key not in names), None):
            raise RpcError(Code.INVALID_PARAMETER, f"Unknown named parameter {unknown}")
        first = params.get("args", [])
        if not isinstance(first, list):
            raise RpcError(Code.INVALID_PARAMETER, "Parameter args must be an array")
        if twice := next((key for key in names[: len(first)] if key in named), None):
            raise RpcError(
                Code.INVALID_PARAMETER, f"Parameter {twice} specified twice both as positional and named argument"
            )
        params = [*first, *(named.get(name) for name in names[len(first) :])]
        while len(params) > len(first) and params[-1] is None:
            params.pop()
    required = sum(item.default is REQUIRED for item in arguments)
    if not required <= len(params) <= len(arguments):
        raise RpcError(Code.MISC, f"{method.usage}\n\n{method.help}")
    params = params + [None] * (len(arguments) - len(params))
    pairs = list(zip(arguments, params, strict=True))
    wrong = {
        f"Position {position} ({item.name})": _wrong_type(item, value)
        for position, (item, value) in enumerate(pairs, 1)
        if not _fits(item, value)
    }
    if wrong:
        listed = orjson.dumps(wrong, option=orjson.OPT_INDENT_2).decode()
        raise RpcError(Code.TYPE, f"Wrong type passed:\n{listed}")
    return [item.default if value is None else value for item, value in pairs]


def _fits(item: Argument, value: Any) -> bool:  # noqa: ANN401 - anything that JSON holds
    if value is None:
        return item.default is not REQUIRED
    # To Python a bool is an int; to bitcoind it is not.
    return type(value) in item.types


def _wrong_type(item: Argument, value: Any) -> str:  # noqa: ANN401 - anything that JSON holds
    return f"JSON value of type {_NAMES[type(value)]} is not of expected type {_NAMES[item.types[0]]}"


def _envelope(request: Any) -> _Request:  # noqa: ANN401 - anything that JSON holds
    if not isinstance(request, dict):
        raise RpcError(Code.INVALID_REQUEST, "Invalid Request object")
    version = request.get("jsonrpc")
    if version is not None and not isinstance(version, str):
        raise RpcError(Code.INVALID_REQUEST, "jsonrpc field must be a string")
    if version not in {None, "1.0", "1.1", "2.0"}:
        raise RpcError(Code.INVALID_REQUEST, "JSON-RPC version not supported")
    version_2 = version == "2.0"
    return _Request(request.get("id"), version_2, version_2 and "id" not in request)


def _answer(envelope: _Request, result: Any) -> dict[str, Any]:  # noqa: ANN401 - a method's own result
    error = {"code": int(result.code), "message": result.message} if isinstance(result, RpcError) else None
    if envelope.version_2:
        outcome: dict[str, Any] = {"error": error} if error else {"result": result}
        return {"jsonrpc": "2.0", **outcome, "id": envelope.id}
    return {"result": None if error else result, "error": error, "id": envelope.id}


def _reply(status: int, answer: Any) -> Reply:  # noqa: ANN401 - one answer or a list of them
    return Reply(status, orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
