"""The Bitcoin node as the API asks it, for health and tip: one short call that never takes longer than its time-out."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Self

import httpx2
import msgspec

from indexer.bitcoin.rpc import WARMING_UP, NodeUnauthorizedError, NodeUnavailableError, RpcError
from indexer.remote.breaker import BreakerOpenError
from indexer.remote.guard import Guarded, Policy, RemoteTimeoutError
from indexer.settings import shown

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.settings import Settings

TIMEOUT = 2.0  # seconds
MAX_ANSWER = 1 << 20  # bytes; getblockchaininfo has about 2 KB
METHOD = "getblockchaininfo"

_REQUEST = msgspec.json.encode({"jsonrpc": "1.0", "id": 0, "method": METHOD, "params": []})
_REFUSED = frozenset({401, 403})
_SAID = 200  # characters of an error's own words: they may quote the answer


class DroppedError(NodeUnavailableError):
    """The connection failed: the next one may not."""


class NodeTip(msgspec.Struct, frozen=True, rename={"height": "blocks", "hash": "bestblockhash"}):
    """Where the node's chain stands."""

    height: int
    hash: str
    chain: str


class _Error(msgspec.Struct):
    code: int
    message: str = ""


class _Reply(msgspec.Struct):
    result: NodeTip | None = None
    error: _Error | None = None


class Node:
    """A node behind a guard. One for a process: it keeps its connection."""

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        cookie_file: Path | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._url = url
        self._shown = shown(url)
        self._login = f"{user}:{password}" if user is not None and password is not None else None
        self._cookie_file = cookie_file if self._login is None else None
        # The guard's time-out holds; and however many ask for our health, the node's few workers are its own.
        self._client = httpx2.AsyncClient(trust_env=False, timeout=None, limits=httpx2.Limits(max_connections=4))
        self._last = ""  # what the last error said
        answers = (RpcError, NodeUnauthorizedError)
        self.guard = Guarded(
            "bitcoin_node", Policy(timeout, attempts=2, may_pass=(DroppedError,), answers=answers, pause=2.0)
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return a client for the configured node; a password wins over a cookie file."""
        password = settings.BITCOIN_RPC_PASSWORD
        return cls(
            settings.BITCOIN_RPC_URL,
            user=settings.BITCOIN_RPC_USER,
            password=password.get_secret_value() if password else None,
            cookie_file=settings.BITCOIN_RPC_COOKIE_FILE,
            timeout=min(TIMEOUT, settings.BITCOIN_RPC_TIMEOUT),
        )

    async def tip(self) -> NodeTip:
        """Ask where the node's chain stands. Raises NodeError, at the latest after the time-out."""
        try:
            return await self.guard(self._ask, idempotent=True)
        except RemoteTimeoutError as error:
            self._last = f"node at {self._shown} did not answer in time; is it overloaded?"
            raise NodeUnavailableError(self._last) from error
        except BreakerOpenError as error:
            raise NodeUnavailableError(f"{self._last} (asked again shortly)") from error
        except NodeUnavailableError as error:
            self._last = str(error)
            raise

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def _ask(self) -> NodeTip:
        status, body = await self._post()
        if status in _REFUSED and self._cookie_file is not None:
            self._login = None  # the node has written a new cookie at its start
            status, body = await self._post()
        if status in _REFUSED:
            raise NodeUnauthorizedError(
                f"node at {self._shown} refused the credentials; correct BITCOIN_RPC_USER and BITCOIN_RPC_PASSWORD, "
                "or BITCOIN_RPC_COOKIE_FILE"
            )
        return self._read(body)

    async def _post(self) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"} | self._credentials()
        body = bytearray()
        try:
            async with self._client.stream("POST", self._url, content=_REQUEST, headers=headers) as response:
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > MAX_ANSWER:
                        raise NodeUnavailableError(
                            f"{self._shown} answered with more than {MAX_ANSWER} bytes; is it a Bitcoin node?"
                        )
                return response.status_code, bytes(body)
        except httpx2.ConnectError as error:
            raise DroppedError(
                f"node at {self._shown} cannot be reached ({_kind(error)}); start it or correct BITCOIN_RPC_URL"
            ) from error
        except httpx2.HTTPError as error:
            raise DroppedError(
                f"{self._shown} did not answer with whole HTTP ({_kind(error)}); is a Bitcoin node running there?"
            ) from error

    def _credentials(self) -> dict[str, str]:
        if self._login is None and self._cookie_file is not None:
            self._login = _read_cookie(self._cookie_file)
        return {} if self._login is None else {"Authorization": f"Basic {b64encode(self._login.encode()).decode()}"}

    def _read(self, body: bytes) -> NodeTip:
        try:
            reply = msgspec.json.decode(body, type=_Reply)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise NodeUnavailableError(
                f"{self._shown} did not answer {METHOD} with JSON-RPC; is it a Bitcoin node?"
            ) from error
        if reply.error is not None:
            if reply.error.code == WARMING_UP:
                raise NodeUnavailableError(f"node at {self._shown} is starting: {reply.error.message[:_SAID]}")
            raise RpcError(METHOD, reply.error.code, reply.error.message[:_SAID])
        if reply.result is None:
            raise NodeUnavailableError(f"{self._shown} answered {METHOD} with nothing; is it a Bitcoin node?")
        return reply.result


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
