"""Bitcoin Core's JSON-RPC, as far as an indexer needs it: bounded in time, with errors that say what to do."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx2
import msgspec

from indexer.settings import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from indexer.settings import Settings

NOT_FOUND = -5  # RPC_INVALID_ADDRESS_OR_KEY: no such block or transaction
OUT_OF_RANGE = -8  # RPC_INVALID_PARAMETER: no block at that height
WARMING_UP = -28  # RPC_IN_WARMUP

T = TypeVar("T")


class NodeError(Exception):
    """The node did not give a usable answer. Never a verdict about an operation: the block waits."""


class NodeUnavailableError(NodeError):
    """The node cannot be reached, is warming up, or answered with something that is no JSON-RPC."""


class NodeUnauthorizedError(NodeError):
    """The node refused the credentials."""


class RpcError(NodeError):
    """The node answered with an error of its own."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"node answered {method} with error {code}: {message}")
        self.code = code
        self.message = message


class _Error(msgspec.Struct):
    code: int
    message: str = ""


class _Reply(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None
    id: int | None = None


class RpcClient:
    """One keep-alive connection to a node. Not safe for use by several threads at once."""

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        cookie_file: Path | None = None,
        timeout: float = 30.0,
    ) -> None:
        self._url = url
        self._basic = httpx2.BasicAuth(user, password) if user is not None and password is not None else None
        self._cookie_file = cookie_file
        self._shown = shown(url)
        # Without trust_env: a proxy of the environment would be handed the node's password.
        self._http = httpx2.Client(
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 5.0)),
            trust_env=False,
            verify=ssl.create_default_context(),
        )
        self.calls = 0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return a client for the configured node; a password wins over a cookie file."""
        password = settings.BITCOIN_RPC_PASSWORD
        return cls(
            settings.BITCOIN_RPC_URL,
            user=settings.BITCOIN_RPC_USER,
            password=password.get_secret_value() if password else None,
            cookie_file=settings.BITCOIN_RPC_COOKIE_FILE,
            timeout=settings.BITCOIN_RPC_TIMEOUT,
        )

    def call(self, method: str, *params: Any, type: type[T]) -> T:  # noqa: A002, ANN401 - JSON values, and what to read
        """Call a method and return its result as `type`. Raises NodeError."""
        body = self._post(_request(0, method, params))
        reply = self._decode(body, _Reply)
        return self._result(method, reply, type)

    def batch(self, method: str, params: Sequence[Sequence[Any]], *, type: type[T]) -> list[T]:  # noqa: A002 - as above
        """Call a method once for each of `params` in one round trip; results in their order. Raises NodeError."""
        if not params:
            return []
        body = self._post([_request(number, method, each) for number, each in enumerate(params)])
        replies = {reply.id: reply for reply in self._decode(body, list[_Reply])}
        if set(replies) != set(range(len(params))):
            raise NodeUnavailableError(f"node at {self._shown} answered a batch incompletely; retrying")
        return [self._result(method, replies[number], type) for number in range(len(params))]

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _post(self, payload: Any) -> bytes:  # noqa: ANN401 - a request or a list of them
        self.calls += 1
        try:
            answer = self._http.post(self._url, content=msgspec.json.encode(payload), auth=self._auth())
        except httpx2.TimeoutException as error:
            raise NodeUnavailableError(
                f"node at {self._shown} did not answer in time ({_kind(error)}); is it overloaded?"
            ) from error
        except httpx2.HTTPError as error:
            raise NodeUnavailableError(
                f"node at {self._shown} cannot be reached ({_kind(error)}); start it or correct BITCOIN_RPC_URL"
            ) from error
        if answer.status_code in {401, 403}:
            raise NodeUnauthorizedError(
                f"node at {self._shown} refused the credentials; correct BITCOIN_RPC_USER and BITCOIN_RPC_PASSWORD, "
                "or BITCOIN_RPC_COOKIE_FILE"
            )
        return answer.content

    def _auth(self) -> httpx2.Auth:
        if self._basic or self._cookie_file is None:
            return self._basic or httpx2.Auth()
        # A node writes a new cookie at each start, so it is read for each request.
        try:
            user, _, password = self._cookie_file.read_text("utf-8").strip().partition(":")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise NodeUnavailableError(
                f"cookie file {self._cookie_file} cannot be read ({reason}); "
                "start the node or correct BITCOIN_RPC_COOKIE_FILE"
            ) from error
        return httpx2.BasicAuth(user, password)

    def _decode(self, body: bytes, type: type[T]) -> T:  # noqa: A002 - what to read
        try:
            return msgspec.json.decode(body, type=type)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise NodeUnavailableError(f"{self._shown} did not answer with JSON-RPC; is it a Bitcoin node?") from error

    def _result(self, method: str, reply: _Reply, type: type[T]) -> T:  # noqa: A002 - what to read
        if reply.error is not None:
            if reply.error.code == WARMING_UP:
                raise NodeUnavailableError(f"node at {self._shown} is starting: {reply.error.message}")
            raise RpcError(method, reply.error.code, reply.error.message)
        return self._decode(bytes(reply.result), type)


def _request(number: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "1.0", "id": number, "method": method, "params": list(params)}


def _kind(error: Exception) -> str:
    return str(error) or type(error).__name__
