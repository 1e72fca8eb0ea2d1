"""What has to hold before anything is touched: each gate is a pure function that passes or fails with words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from runbooks.deploy.migrations import refusals
from runbooks.deploy.store import checks_of, ran_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from runbooks.deploy.freezing import Freeze
    from runbooks.deploy.manifest import Manifest
    from runbooks.drivers.protocols import BackupInfo

# What has to have passed for a commit.
CHECKS = ("tests", "scans")
BACKUP_HOURS = 24
PASSED = "passed"
# Those that a person may pass over, with a reason that is recorded: never signatures, migrations or staging.
WAIVABLE = ("checks", "backup", "configuration", "freeze")


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate, whether it was passed, and what was seen."""

    name: str
    passed: bool
    words: str

    @property
    def sentence(self) -> str:
        """The gate in a line."""
        return f"{self.name}: {'passed' if self.passed else 'FAILED'}: {self.words}"


def checks(manifest: Manifest, statement: Callable[[str], Mapping[str, Any] | None]) -> Gate:
    """Pass where tests and scans of this very commit were green, as somebody with the key has said."""
    found = statement(checks_of(manifest.commit))
    if found is None or found.get("commit") != manifest.commit:
        how = "`simplicity deploy attest` says so where they ran"
        return Gate(
            "checks", passed=False, words=f"nobody has signed that the checks of {manifest.commit[:12]} passed; {how}"
        )
    results: Mapping[str, str] = found.get("results", {})
    bad = [name for name in CHECKS if results.get(name) != PASSED]
    bad += [name for name, result in results.items() if result != PASSED and name not in CHECKS]
    if bad:
        words = ", ".join(f"{name} {results.get(name, 'is missing')}" for name in bad)
        return Gate("checks", passed=False, words=words)
    return Gate("checks", passed=True, words=f"{', '.join(sorted(results))} passed at {found.get('at')}")


def backup(backups: Sequence[BackupInfo], now: datetime, hours: int = BACKUP_HOURS) -> Gate:
    """Pass where a backup was restored and found right, and is young enough."""
    proven = [each for each in backups if each.proven_at is not None]
    if not proven:
        words = f"of {len(backups)} backups none was ever proven; `simplicity backup verify --prove ID`"
        return Gate("backup", passed=False, words=words)
    newest = max(proven, key=lambda each: each.ended_at)
    age = now - _moment(newest.ended_at)
    words = f"{newest.id}, proven, is {age / timedelta(hours=1):.1f} h old; at most {hours} h"
    return Gate("backup", passed=age <= timedelta(hours=hours), words=words)


def freeze(found: Freeze | None, now: datetime) -> Gate:
    """Pass where nobody holds deployments back."""
    if found is None or not found.holds(now):
        return Gate("freeze", passed=True, words="deployments are not frozen")
    return Gate("freeze", passed=False, words=f"{found.sentence}; `simplicity deploy unfreeze` ends it")


def promoted(manifest: Manifest, after: str, statement: Callable[[str], Mapping[str, Any] | None]) -> Gate:
    """Pass where the environment `after` has run this release; "" where none has to."""
    if not after:
        return Gate("staging", passed=True, words="no environment has to run it before this one")
    found = statement(ran_of(manifest.id, after))
    if found is None or found.get("release") != manifest.id or found.get("environment") != after:
        return Gate("staging", passed=False, words=f"{after} has not run {manifest.id}: deploy it there first")
    return Gate(
        "staging", passed=True, words=f"{after} ran it at {found.get('at')} for {found.get('requests', 0)} requests"
    )


def migrations(live: Manifest | None, new: Manifest) -> Gate:
    """Pass where both releases can work on one schema."""
    bad = refusals(live, new)
    count = len(new.revisions) - (len(live.revisions) if live else 0)
    return Gate("migrations", passed=not bad, words="; ".join(bad) or f"{count} to apply, schema {new.newest}")


def configuration(changes: int, words: str, *, reviewed: bool) -> Gate:
    """Pass where the hosts are as the playbooks say, or somebody has seen the difference."""
    if not changes:
        return Gate("configuration", passed=True, words="the hosts are as the playbooks say")
    what = f"{changes} differences: {words}"
    return Gate(
        "configuration", passed=reviewed, words=what if reviewed else f"{what}; review them, then repeat with --yes"
    )


def waived(gates: Iterable[Gate], names: Iterable[str], reason: str) -> list[Gate]:
    """Return the gates with those passed that a person passes over."""
    over = set(names) & set(WAIVABLE)
    return [
        Gate(each.name, passed=True, words=f"passed over ({reason}), though {each.words}")
        if each.name in over and not each.passed
        else each
        for each in gates
    ]


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
