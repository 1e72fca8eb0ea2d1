"""Who calls, what they may, and why somebody is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Scope = Literal["read", "operate", "admin"]
Role = Literal["reader", "operator", "admin"]
Kind = Literal["anonymous", "key", "token"]

SCOPES: tuple[Scope, ...] = ("read", "operate", "admin")  # from the least to the most
ROLES: Mapping[str, frozenset[Scope]] = MappingProxyType(
    {"reader": frozenset(SCOPES[:1]), "operator": frozenset(SCOPES[:2]), "admin": frozenset(SCOPES)}
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the id of the API key (None: nobody in particular) and the scopes; a token stands for its key."""

    user_id: str | None
    scopes: frozenset[Scope]
    via_token: bool = False

    @property
    def kind(self) -> Kind:
        """How the caller said who it is."""
        if self.user_id is None:
            return "anonymous"
        return "token" if self.via_token else "key"


ANONYMOUS = Principal(None, frozenset())


class Reason(StrEnum):
    """Why a credential is refused, as logs and metrics name it."""

    MALFORMED = "malformed"
    SIGNATURE = "signature"  # a wrong secret too
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    NOT_YET = "not_yet"
    UNAVAILABLE = "unavailable"  # it cannot be told at the moment: no fault of the credential


class Refused(Exception):  # noqa: N818 - a verdict, not a failure
    """A credential that is not accepted; the text is fit for the client and for a header, and holds no secret.

    `key_id` is the API key that was named; nothing proves that it was named by its owner when the reason is SIGNATURE.
    """

    def __init__(self, reason: Reason, message: str, key_id: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.key_id = key_id


def scope_text(scopes: frozenset[Scope]) -> str:
    """Return scopes as OAuth writes them: in one order, separated by spaces."""
    return " ".join(scope for scope in SCOPES if scope in scopes)


def scopes_in(text: str) -> frozenset[Scope]:
    """Return the scopes that a text names; what this release does not know grants nothing."""
    named = text.split()
    return frozenset(scope for scope in SCOPES if scope in named)
