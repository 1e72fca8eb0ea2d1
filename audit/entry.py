"""One entry of the trail: who did what, to what, from where, and what it was before and after."""

from __future__ import annotations

import ipaddress
import json
import os
import pwd
import socket
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from audit.masking import Json, masked, masked_text

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Entry", "Json", "entry", "masked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the trail is told. Secrets are masked whenever it is written, so none can be told by mistake.

    `result` is "done", "begun", "undone" or "failed: REASON"; `run` the id of a runbook's run, "" outside of one. For
    what lies in tables `before` and `after` map a table's name to rows. `at` is UTC, ISO 8601 with microseconds.
    """

    action: str
    target: str
    actor: str
    origin: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    before: Json = None
    after: Json = None
    result: str = "done"
    run: str = ""
    id: str = field(default_factory=lambda: str(uuid4()))
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds"))

    def __post_init__(self) -> None:
        """Raise ValueError for an id that the database would give back in another form."""
        if str(UUID(self.id)) != self.id:
            raise ValueError(f"id of an audit entry: must be a UUID in lower case with hyphens, is {self.id!r}")

    def as_dict(self) -> dict[str, Json]:
        """Return the entry as the trail holds it: without secrets, JSON throughout."""
        texts = {name: masked_text(str(getattr(self, name))) for name in _TEXTS}
        return texts | {name: masked(getattr(self, name)) for name in _VALUES}

    @classmethod
    def of(cls, value: Any) -> Entry:  # noqa: ANN401 - JSON that anybody may have written
        """Return the entry in what as_dict gave. Raises ValueError for anything else."""
        if not isinstance(value, dict) or value.keys() != {each.name for each in fields(cls)}:
            raise ValueError("is no entry: its fields are not those of one")
        if not all(isinstance(value[name], str) for name in _TEXTS) or not isinstance(value["arguments"], dict):
            raise ValueError("is no entry: a field has another type")
        return cls(**value)


_VALUES = ("arguments", "before", "after")
_TEXTS = tuple(each.name for each in fields(Entry) if each.name not in _VALUES)


def entry(action: str, target: str, **rest: Any) -> Entry:  # noqa: ANN401 - the fields of Entry
    """Return an entry of what this process does; `rest` are more fields of Entry."""
    return Entry(**({"actor": actor(), "origin": origin()} | rest), action=action, target=target)


def actor() -> str:
    """Return who runs this process: a login name, and whom sudo was asked by."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"
    asker = os.environ.get("SUDO_USER", "")
    return f"{asker} (as {name})" if asker and asker != name else name


def origin() -> str:
    """Return this host's name, and the client's address within an SSH session."""
    host = socket.gethostname()
    client = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    try:
        return f"{host} (from {ipaddress.ip_address(client.partition('%')[0])})"
    except ValueError:  # no session, or not what sshd writes
        return host


def canonical(value: Mapping[str, Json]) -> str:
    """Return the one text that stands for a JSON object: sorted names, no spaces, UTF-8 as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
