"""Who may deliver, and who may look: whether an address is this machine's own, and the token of deliveries."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# What is shorter can be guessed by trying.
SHORTEST_TOKEN = 16


class TokenError(Exception):
    """There is no token to compare with: one line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The status and the line that a delivery is refused with."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Admits deliveries to a page that listens on `host`.

    The token's file is read for each delivery, as Alertmanager reads its own (`credentials_file`): to change the
    token, replace both.
    """

    host: str
    token_file: Path | None = None

    def check(self) -> None:
        """Raise TokenError where the file has no token."""
        if self.token_file is not None:
            _token(self.token_file)

    def refusal(self, authorization: str) -> Refusal | None:
        """Return why a delivery with this `Authorization` is refused; None: it is admitted."""
        if self.token_file is None:
            if is_loopback(self.host):
                return None
            return Refusal(403, "from other machines deliveries need a token: start the page with --token-file FILE")
        try:
            token = _token(self.token_file)
        except TokenError as error:
            # Alertmanager tries a 5xx again: what comes meanwhile is not lost.
            return Refusal(503, str(error))
        scheme, _, shown = authorization.partition(" ")
        # Headers are bytes, which come as Latin-1.
        if scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode("latin-1", "replace"), token):
            return None
        return Refusal(401, "show the token of the page's --token-file as bearer (authorization.credentials_file)")


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_of_another_site(headers: Mapping[str, str]) -> bool:
    """Whether another site's page asks by itself, such as for a picture in it; a link that is followed is none."""
    if headers.get("sec-fetch-site") != "cross-site":
        return False
    return (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) != ("navigate", "document")


def _token(file: Path) -> bytes:
    try:
        token = file.read_bytes().strip()
    except OSError as error:
        raise TokenError(f"the token cannot be read from {file} ({error.strerror}); put it there") from None
    if len(token) < SHORTEST_TOKEN:
        raise TokenError(f"{file} has no token of {SHORTEST_TOKEN} characters or more; put one there")
    return token
