"""What pgBackRest says of its repository, as backups of ours: pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from runbooks.backup.errors import BackupError, RefusedError
from runbooks.drivers.protocols import BackupInfo

if TYPE_CHECKING:
    from runbooks.drivers.protocols import BackupKind

# Kept with a backup, beside what it is: which operation made it, where the index stood, when it was proven.
OPERATION, HEIGHT, HASH, PROVEN = "operation", "tip-height", "tip-hash", "proven-at"
TYPES: dict[BackupKind, Literal["full", "diff", "incr"]] = {
    "full": "full",
    "differential": "diff",
    "incremental": "incr",
}
_KINDS = {theirs: ours for ours, theirs in TYPES.items()}
# Of a stanza: none yet, or one without a backup.
_EMPTY = frozenset({1, 2})


class _Times(msgspec.Struct, frozen=True):
    start: int
    stop: int


class _Stored(msgspec.Struct, frozen=True):
    delta: int = 0


class _Sizes(msgspec.Struct, frozen=True):
    size: int
    repository: _Stored


class Made(msgspec.Struct, frozen=True):
    """One backup as pgBackRest has it."""

    label: str
    type: Literal["full", "diff", "incr"]
    timestamp: _Times
    info: _Sizes
    prior: str | None = None
    annotation: dict[str, str] = {}
    error: bool | None = None

    def backup(self) -> BackupInfo:
        """Return it as the protocol has it."""
        height = self.annotation.get(HEIGHT, "")
        return BackupInfo(
            id=self.label,
            kind=_KINDS[self.type],
            parent=self.prior,
            started_at=_moment(self.timestamp.start),
            ended_at=_moment(self.timestamp.stop),
            size=self.info.repository.delta,
            data_size=self.info.size,
            tip_height=int(height) if height.isdigit() else None,
            tip_hash=self.annotation.get(HASH),
            proven_at=self.annotation.get(PROVEN),
        )


class _Status(msgspec.Struct, frozen=True):
    code: int
    message: str


class _Stanza(msgspec.Struct, frozen=True):
    name: str
    status: _Status
    backup: tuple[Made, ...] = ()


def read(said: str, stanza: str) -> list[Made]:
    """Return the backups that `info --output=json` names, oldest first; those with errors in them are left out.

    Raises BackupError where the repository cannot be used.
    """
    try:
        found = msgspec.json.decode(said, type=tuple[_Stanza, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BackupError(f"pgBackRest's answer is none: {error}") from None
    mine = next((each for each in found if each.name == stanza), None)
    if mine is None or mine.status.code in _EMPTY:
        return []
    if mine.status.code != 0:
        raise BackupError(f"the repository of {stanza} cannot be used: {mine.status.message}")
    return sorted((each for each in mine.backup if not each.error), key=lambda each: each.timestamp.stop)


def verified(said: str, label: str) -> int:
    """Return how many files of WAL `verify --output=text --verbose` has found whole; RefusedError for what is not."""
    backup = re.search(rf"backup: {re.escape(label)}, status: (\w+)", said)
    wal = re.search(r"total WAL checked: (\d+), total valid WAL: (\d+)", said)
    if "status: ok" not in said or backup is None or backup[1] != "valid" or wal is None or wal[1] != wal[2]:
        wrong = [line.strip() for line in said.splitlines() if "error" in line or "invalid" in line]
        raise RefusedError(f"{label} is damaged: {wrong[0] if wrong else 'nothing of it was read'}; use another backup")
    return int(wal[2])


def chain(made: list[Made], label: str) -> list[str]:
    """Return a backup and those that it builds on, the full one first."""
    by_label = {each.label: each for each in made}
    found: list[str] = []
    at: str | None = label
    while at is not None and at in by_label:
        found.append(at)
        at = by_label[at].prior
    return found[::-1]


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
