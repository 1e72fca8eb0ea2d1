"""Secrets that services log in with, replaced while they serve: first where they are checked, then where used."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.layout import write_private
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

BYTES = 32
# Which parts of the playbooks know a secret, those that check it first. Who is connected stays so; a new connection
# that is refused in between is tried again by whoever needs it.
_BY_PARTS = {
    "postgresql,pgbouncer,indexer": ("database_reader_password",),
    "postgresql,indexer": ("database_writer_password",),
    "postgresql,pgbackrest": ("database_backup_password",),
    "postgresql,exporters": ("database_monitoring_password",),
    "postgresql,pgbouncer": ("database_pooler_password",),
    "postgresql": ("database_replication_password", "database_rewind_password", "database_superuser_password"),
    "valkey,indexer": ("cache_password",),
    "valkey,exporters": ("cache_monitoring_password",),
    "keepalived": ("vrrp_password",),
}
PARTS = {name: parts for parts, names in _BY_PARTS.items() for name in names}


@dataclass(frozen=True, slots=True)
class Rotated:
    """How it ended: `failed` is "" where the new secret is in force; else the old one is, unless `stuck` says why."""

    name: str
    failed: str
    stuck: str = ""


def rotate(environment: Environment, name: str, put_in_force: Callable[[str], str]) -> Rotated:
    """Replace a secret; `put_in_force` runs the parts of the playbooks that know it, and returns why it failed.

    A process that is killed leaves the new secret in its file: `simplicity deploy site` then puts it in force. Raises
    Refusal for a secret that is not rotated so.
    """
    if name not in PARTS:
        raise Refusal(f"{name[:60]!r} is not rotated by this command; what is: {', '.join(PARTS)}")
    reference = environment.secrets.get(name)
    if reference is None or reference.source != "file":
        raise Refusal(f"environment {environment.name} has no secret {name!r} in a file")
    path = Path(reference.name)
    old = path.read_text(encoding="utf-8")
    write_private(path, secrets.token_urlsafe(BYTES) + "\n")
    failed = put_in_force(PARTS[name])
    if not failed:
        return Rotated(name, "")
    write_private(path, old)
    return Rotated(name, failed, put_in_force(PARTS[name]))
