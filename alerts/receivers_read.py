"""Receivers as an environment's settings name them: a mapping of ours, checked, and nothing in it overlooked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from alerts.model import Team
from alerts.receivers import Chat, Mail, Pager, ReceiverError, Receivers, Webhook

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
KINDS: dict[str, Callable[..., Any]] = {
    "webhook": Webhook,
    "pager": Pager,
    "chat": Chat,
    "mail": Mail,
    "heartbeat": Webhook,
}
TEAM_CHATS = "team_chats"


def receivers_of(given: object) -> Receivers:
    """Return the receivers of a mapping: by kind its settings, `team_chats` by team. Raises ReceiverError."""
    settings = _mapping(given, "the receivers")
    known = {*KINDS, TEAM_CHATS}
    if unknown := sorted(settings.keys() - known):
        raise ReceiverError(f"there is no receiver {unknown[0]!r}: {', '.join(sorted(known))}")
    chats = _mapping(settings.get(TEAM_CHATS, {}), TEAM_CHATS)
    teams: tuple[Team, ...] = get_args(Team)
    if unknown := sorted(chats.keys() - set(teams)):
        raise ReceiverError(f"{TEAM_CHATS}: there is no team {unknown[0]!r}: {', '.join(teams)}")
    found = Receivers(
        **{kind: _one(KINDS[kind], settings[kind], kind) for kind in KINDS if kind in settings},
        team_chats=tuple((team, _one(Chat, chats[team], f"{TEAM_CHATS}.{team}")) for team in teams if team in chats),
    )
    found.check()
    return found


def _one(make: Callable[..., T], given: object, where: str) -> T:
    settings = _mapping(given, where)
    known = {field.name: field for field in fields(make)}  # type: ignore[arg-type] # all of them are dataclasses
    if unknown := sorted(settings.keys() - known.keys()):
        raise ReceiverError(f"{where}: there is no setting {unknown[0]!r}: {', '.join(known)}")
    if missing := [name for name, field in known.items() if field.default is MISSING and name not in settings]:
        raise ReceiverError(f"{where}: give its {missing[0]}")
    for name, value in settings.items():
        kinds = {"str": str, "bool": bool, "tuple[str, ...]": list}
        if not isinstance(value, kinds[str(known[name].type)]):
            raise ReceiverError(f"{where}: its {name} cannot be {value!r}")
    return make(**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})


def _mapping(given: object, where: str) -> Mapping[str, object]:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ReceiverError(f"{where}: settings by their names are needed, not {given!r}")
    return given
