"""The few JSON-RPC calls that traffic needs; bitcoind and our node both have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TIMEOUT = 30.0
_WARMING_UP = -28
_DENIED = frozenset({401, 403})
METHOD_NOT_FOUND = -32601


class RpcError(Exception):
    """The node understood the call and refused it; `code` is bitcoind's number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class NodeUnavailableError(Exception):
    """Nobody answers, or only to say that it is not ready: worth another try."""


class AccessDeniedError(Exception):
    """The node does not accept our user and password, or the URL is no node's at all."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the node listens and how one logs in; a cookie file comes before user and password."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    cookie_file: Path | None = None

    def login(self) -> tuple[str, str] | None:
        """Return user and password; NodeUnavailableError while the cookie file is not there."""
        if self.cookie_file is None:
            return (self.user, self.password) if self.user else None
        try:
            user, _, password = self.cookie_file.read_text().strip().partition(":")
        except OSError as error:
            raise NodeUnavailableError(f"cannot read the cookie {self.cookie_file} ({error.strerror})") from None
        return user, password


class Rpc:
    """A client of one node. Any call may raise NodeUnavailableError, AccessDeniedError or RpcError."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Prepare; the first call connects."""
        self._endpoint = endpoint
        # A proxy of the environment has no business between us and a regtest node.
        self._client = httpx2.Client(timeout=_TIMEOUT, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def call(self, method: str, *params: object) -> Any:  # noqa: ANN401 - whatever JSON the method answers
        """Return the result of one call."""
        return _result(self._post({"jsonrpc": "1.0", "id": 0, "method": method, "params": params}))

    def batch(self, method: str, params: Sequence[Sequence[object]]) -> list[Any]:
        """Return the results of many calls of one method in one request, in their order."""
        replies = self._replies(method, params)
        return [_result(reply) for reply in replies]

    def try_batch(self, method: str, params: Sequence[Sequence[object]]) -> list[Any]:
        """Return as `batch` does, without those that the node refuses."""
        return [reply["result"] for reply in self._replies(method, params) if reply.get("error") is None]

    def _replies(self, method: str, params: Sequence[Sequence[object]]) -> list[dict[str, Any]]:
        if not params:
            return []
        body = [{"jsonrpc": "1.0", "id": n, "method": method, "params": one} for n, one in enumerate(params)]
        replies = self._post(body)
        try:
            by_number = {int(reply["id"]): reply for reply in replies}
        except (TypeError, KeyError, ValueError):
            by_number = {}
        if sorted(by_number) != list(range(len(body))):
            raise NodeUnavailableError("the node does not answer a batch as JSON-RPC says")
        return [by_number[number] for number in range(len(body))]

    def _post(self, body: object) -> Any:  # noqa: ANN401 - decoded JSON
        # Read anew each time: a node that restarts writes a new cookie.
        login = self._endpoint.login()
        response = self._send(body, login)
        if response.status_code in _DENIED and (fresh := self._endpoint.login()) != login:
            # It restarted between our look at the cookie and the call.
            response = self._send(body, fresh)
        if response.status_code in _DENIED:
            raise AccessDeniedError(
                f"{self._where} refuses the login: check BITCOIN_RPC_COOKIE_FILE, or BITCOIN_RPC_USER and "
                "BITCOIN_RPC_PASSWORD"
            )
        try:
            return response.json()
        except ValueError:
            raise NodeUnavailableError(f"{self._where} answers, but not with JSON ({response.status_code})") from None

    def _send(self, body: object, login: tuple[str, str] | None) -> httpx2.Response:
        try:
            return self._client.post(self._endpoint.url, json=body, auth=login or httpx2.USE_CLIENT_DEFAULT)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise AccessDeniedError(f"BITCOIN_RPC_URL {self._where!r} is no URL of a node: {error}") from None
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise NodeUnavailableError(f"{self._where} does not answer ({reason})") from None

    @property
    def _where(self) -> str:
        # Without what stands before an @: that would be a password.
        return self._endpoint.url.rpartition("@")[2].removeprefix("http://")


def _result(reply: Any) -> Any:  # noqa: ANN401 - decoded JSON
    if not isinstance(reply, dict):
        raise NodeUnavailableError("the node does not answer as JSON-RPC says")
    error = reply.get("error")
    if error is None:
        return reply.get("result")
    if not isinstance(error, dict):
        raise NodeUnavailableError(f"the node does not answer as JSON-RPC says: {error}")
    if error.get("code") == _WARMING_UP:
        raise NodeUnavailableError(f"the node is starting: {error.get('message')}")
    raise RpcError(int(error.get("code", 0)), str(error.get("message")))
