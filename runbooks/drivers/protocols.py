"""What a runbook may ask of an environment, the same words in every place.

Every changing call takes a `key` that its caller makes up once: the same key with the same words is the same operation
and has no second effect, with others it is refused. The call only begins; `poll` goes on with it, from any process.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
BackupKind: TypeAlias = Literal["full", "incremental", "differential"]


class Refusal(Exception):  # noqa: N818 - nothing has gone wrong: something is not done, for a reason
    """What is not done, and changes nothing: one line that says why and what to do."""


class Phase(StrEnum):
    """Where an operation stands; the last two are for ever."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One change of the world, as its record says.

    `target` is what is changed, `arguments` how, never with a secret in them. `detail` is one line for a person,
    `result` what has been found out so far, complete when it is over. `began` and `ended` are moments in ISO 8601, UTC.
    """

    key: str
    driver: str
    action: str
    target: str
    arguments: Mapping[str, Json]
    phase: Phase
    detail: str
    result: Mapping[str, Json]
    began: str
    ended: str | None

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.phase is not Phase.RUNNING


class Driver(Protocol):
    """What all drivers have in common."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do of what not every place can."""

    def poll(self, key: str) -> Operation:
        """Go on with an operation as far as the world is ready for it, and return it.

        Does not wait for the world; work that this very process does, such as a backup's, it does to the end. Raises
        Refusal for a key that began none here.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """One service as it is: `group` is empty where it is alone at its work, `pid` 0 when it does not run.

    `state` is "running", "not ready", or what its manager calls it ("stopped", "fatal" …); `detail` says what was seen.
    """

    name: str
    group: str
    state: str
    pid: int
    detail: str


class ServiceControl(Driver, Protocol):
    """Start and stop services; a name is one of services() or a group of theirs, all others are refused.

    Capabilities: "start", "stop", "restart".
    """

    def services(self) -> list[ServiceState]:
        """Look at every service, those that others need first."""

    def start(self, key: str, name: str) -> Operation:
        """Start what does not run; DONE when each answers by its own process."""

    def stop(self, key: str, name: str) -> Operation:
        """Stop what runs, and let it stay stopped; the result's `needed_by` names those that go on without it."""

    def restart(self, key: str, name: str) -> Operation:
        """Stop and start, one after the other; DONE when each answers by a process that is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupInfo:
    """One backup: `parent` is the one it builds on, sizes are in bytes, as stored and as they were in the database.

    Moments are in ISO 8601, UTC. The tip is that of the index inside; `proven_at` is when it was last restored and
    found right, None for never.
    """

    id: str
    kind: BackupKind
    parent: str | None
    started_at: str
    ended_at: str
    size: int
    data_size: int
    tip_height: int | None
    tip_hash: str | None
    proven_at: str | None


class BackupEngine(Driver, Protocol):
    """Make, prove and restore backups.

    Capabilities: of "full", "incremental", "differential", "point-in-time", "encrypted".
    """

    def create(self, key: str, kind: BackupKind) -> Operation:
        """Make a backup; the result's `backup` is its id."""

    def backups(self) -> list[BackupInfo]:
        """Return all that there are, the oldest first."""

    def verify(self, key: str, backup: str) -> Operation:
        """Prove that a backup can be restored, without touching what runs."""

    def restore(self, key: str, backup: str | None, target: str) -> Operation:
        """Restore a backup, the newest for None, to `target`."""

    def prune(self, key: str) -> Operation:
        """Remove what retention no longer wants; the result's `removed` names it."""


class TrafficSwitch(Driver, Protocol):
    """Decide which of several sets of API processes the clients reach."""

    def weights(self) -> Mapping[str, int]:
        """Return each set's share of the requests, in percent."""

    def shift(self, key: str, weights: Mapping[str, int]) -> Operation:
        """Give each set its share; together 100."""


class Scaler(Driver, Protocol):
    """Decide how many processes or machines do the same work."""

    def size(self, group: str) -> int:
        """Return how many there are."""

    def scale(self, key: str, group: str, size: int) -> Operation:
        """Make it so many; DONE when each new one answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One database of a group: `lag` is how many bytes of the log it is behind, None where that is not known."""

    name: str
    role: Literal["primary", "replica"]
    lag: int | None


class Failover(Driver, Protocol):
    """Decide which database of a group is written to."""

    def members(self) -> list[Member]:
        """Return the group as it is, the primary first."""

    def switch(self, key: str, member: str) -> Operation:
        """Make another member the primary; DONE when it takes writes and the old one takes none."""


class SecretStore(Driver, Protocol):
    """Read secrets by the names that the environment document gives them, and replace them.

    Capabilities: "write".
    """

    def names(self) -> list[str]:
        """Return what there is, sorted."""

    def read(self, name: str) -> str:
        """Return a secret; never to be shown or recorded."""

    def write(self, key: str, name: str, value: str) -> Operation:
        """Replace a secret; the record holds the value's SHA-256 and nothing else of it."""


def require(driver: Driver, capability: str) -> None:
    """Raise Refusal when a driver has not this capability."""
    if capability not in driver.capabilities:
        has = ", ".join(sorted(driver.capabilities)) or "none"
        raise Refusal(f"{type(driver).__name__} has no capability {capability!r} (it has {has}); leave it out here")
