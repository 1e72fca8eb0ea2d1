"""Bitcoin Core's JSON-RPC, as far as an indexer needs it: bounded in time, with errors that say what to do."""

from __future__ import annotations

import binascii
from base64 import b64encode
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import msgspec

from indexer.bitcoin.block import BlockDecodeError
from indexer.bitcoin.connection import Answer, Connection, TooLargeError
from indexer.settings import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from indexer.settings import Settings

NOT_FOUND = -5  # RPC_INVALID_ADDRESS_OR_KEY: no such block or transaction
OUT_OF_RANGE = -8  # RPC_INVALID_PARAMETER: no block at that height
WARMING_UP = -28  # RPC_IN_WARMUP

MAX_ANSWER = 1 << 28  # bytes; a full block's verbose form has some 30 MB
_SAID = 200  # characters of an error's own words: they may quote the answer

T = TypeVar("T")


class NodeError(Exception):
    """The node did not give a usable answer. Never a verdict about an operation: the block waits."""


class NodeUnavailableError(NodeError):
    """The node cannot be reached, is warming up, or answered with something that is no JSON-RPC."""


class AnswerTooLargeError(NodeUnavailableError):
    """The node's answer is larger than anything that was asked for should be."""


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
        self._login = f"{user}:{password}" if user is not None and password is not None else None
        self._cookie_file = cookie_file
        self._shown = shown(url)
        self._connection = Connection(url, timeout)
        self.calls = 0  # round trips, whatever the method

    @property
    def has_root(self) -> bool:
        """Whether the URL names a node and no path on it, so that the node's other interfaces can be beside it."""
        return self._connection.root

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
        """Call a method and return its result as `type`, of which `bytes` reads hexadecimal.

        Raises NodeError, and BlockDecodeError for a string that is no hexadecimal.
        """
        reply = self._decode(self._post(_request(0, method, params)), _Reply)
        return self._result(method, reply, type)

    def batch(
        self,
        method: str,
        params: Sequence[Sequence[Any]],
        *,
        type: type[T],  # noqa: A002 - as above
        ends_at: int | None = None,
    ) -> list[T]:
        """Call a method once for each of `params` in one round trip; results as of `call`, in their order.

        An error with the code `ends_at` is none: the results before it are returned.
        """
        if not params:
            return []
        body = self._post([_request(number, method, each) for number, each in enumerate(params)])
        replies = {reply.id: reply for reply in self._decode(body, list[_Reply])}
        if set(replies) != set(range(len(params))):
            raise NodeUnavailableError(f"node at {self._shown} answered a batch incompletely; retrying")
        results: list[T] = []
        for number in range(len(params)):
            error = replies[number].error
            if error is not None and error.code == ends_at:
                break
            results.append(self._result(method, replies[number], type))
        return results

    def get(self, path: str, *, limit: int) -> Answer:
        """Ask the node for a path, without credentials; an answer of over `limit` bytes raises NodeUnavailableError."""
        return self._exchange("GET", path, None, {}, limit)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _post(self, payload: Any) -> bytes:  # noqa: ANN401 - a request or a list of them
        headers = {"Content-Type": "application/json"} | self._credentials()
        answer = self._exchange("POST", self._connection.target, msgspec.json.encode(payload), headers, MAX_ANSWER)
        if answer.status in {401, 403}:
            raise NodeUnauthorizedError(
                f"node at {self._shown} refused the credentials; correct BITCOIN_RPC_USER and BITCOIN_RPC_PASSWORD, "
                "or BITCOIN_RPC_COOKIE_FILE"
            )
        return answer.body

    def _exchange(self, method: str, target: str, body: bytes | None, headers: dict[str, str], limit: int) -> Answer:
        self.calls += 1
        try:
            return self._connection.exchange(method, target, body, headers, limit=limit)
        except TimeoutError as error:
            raise NodeUnavailableError(
                f"node at {self._shown} did not answer in time ({_kind(error)}); is it overloaded?"
            ) from error
        except TooLargeError as error:
            raise AnswerTooLargeError(
                f"{self._shown} answered with more than {limit} bytes; is it a Bitcoin node?"
            ) from error
        except OSError as error:
            raise NodeUnavailableError(
                f"node at {self._shown} cannot be reached ({_kind(error)}); start it or correct BITCOIN_RPC_URL"
            ) from error
        except HTTPException as error:
            raise NodeUnavailableError(
                f"{self._shown} did not answer with whole HTTP ({_kind(error)}); is a Bitcoin node running there?"
            ) from error

    def _credentials(self) -> dict[str, str]:
        login = self._login
        if login is None and self._cookie_file is not None:
            # A node writes a new cookie at each start, so it is read for each request.
            login = _read_cookie(self._cookie_file)
        return {} if login is None else {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}

    def _decode(self, body: bytes | msgspec.Raw, type: type[T]) -> T:  # noqa: A002 - what to read
        try:
            return msgspec.json.decode(body, type=type)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise NodeUnavailableError(f"{self._shown} did not answer with JSON-RPC; is it a Bitcoin node?") from error

    def _result(self, method: str, reply: _Reply, type: type[T]) -> T:  # noqa: A002 - what to read
        if reply.error is not None:
            if reply.error.code == WARMING_UP:
                raise NodeUnavailableError(f"node at {self._shown} is starting: {reply.error.message}")
            raise RpcError(method, reply.error.code, reply.error.message)
        text = memoryview(reply.result)
        if type is bytes and bytes(text[:1]) == b'"':
            # Out of the answer's own bytes: a string in between would be as large as they, and twice the work.
            return cast("T", _unhex(text[1:-1]))
        return self._decode(reply.result, type)


def _request(number: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "1.0", "id": number, "method": method, "params": list(params)}


def _unhex(text: memoryview) -> bytes:
    try:
        return binascii.unhexlify(text)
    except ValueError:
        raise BlockDecodeError("the node's answer is not hexadecimal") from None


def _read_cookie(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise NodeUnavailableError(
            f"cookie file {path} cannot be read ({reason}); start the node or correct BITCOIN_RPC_COOKIE_FILE"
        ) from error


def _kind(error: Exception) -> str:
    return str(error)[:_SAID] or type(error).__name__
