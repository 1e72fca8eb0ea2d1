"""Failover of a managed database: AWS is told once, and asked until another server is written to."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runbooks.drivers.aws import Aws, AwsError
from runbooks.drivers.aws_database import AURORA, STANDBY, ManagedDatabase, Server
from runbooks.drivers.aws_operating import Seen, Way, go_on
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from infra.environment import Environment
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Json, Member, Operation

NAME, ACTION = "managed-database", "switch"
SECONDS = 600.0
# A call that was cut off is made again after this: AWS refuses a second one while the first is carried out.
TELL_SECONDS = 60.0
_UNDER_WAY = re.compile(r"InvalidDB(Cluster|Instance)State")
# RDS' own words in its events, of which it keeps two weeks.
_COMPLETED = "failover completed"
_HINT = "see its events in AWS; `simplicity infrastructure status`"


@dataclass(frozen=True, slots=True)
class ManagedFailover:
    """Failover of Aurora (to a reader) and of RDS (to its standby in another zone)."""

    environment: Environment
    store: OperationStore

    @property
    def database(self) -> ManagedDatabase:
        """The database as it is."""
        return ManagedDatabase(self.environment)

    @property
    def aws(self) -> Aws:
        """Where it is asked."""
        return self.database.aws

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: change the writer. All servers of Aurora have the same storage: nothing is lost."""
        return frozenset({ACTION})

    def members(self) -> list[Member]:
        """Return the group as it is, the writer first. Raises AwsError."""
        return [each.member for each in self.database.servers()]

    def candidate(self, member: str) -> str:
        """Return who can take over: `member`, or for "" the first in order. Raises Refusal with a reason."""
        return candidate(self.database.servers(), member, standby_only=self.database.kind != AURORA)

    def switch(self, key: str, member: str) -> Operation:
        """Make another member the writer, for "" the first in order; refused where it cannot be, or there is none."""
        found = self.store.find(key)
        if found is None:
            member = self.candidate(member)
        self.store.begin(key, driver=NAME, action=ACTION, target=member or (found.target if found else ""))
        return self.poll(key)

    def writer(self) -> str:
        """Return who is written to, "" for nobody: Aurora's server; of RDS the zone, for its names do not change."""
        leads = next((each for each in self.database.servers() if each.leads), None)
        if leads is None:
            return ""
        return leads.name if self.database.kind == AURORA else leads.zone

    def has_moved(self, writer: str, since: float) -> bool:
        """Whether another one than `writer` is written to, who was so at the moment `since`. Raises AwsError."""
        now = self.writer()
        # RDS tells the new zone only some time after its event.
        return now not in {"", writer} or (self.database.kind != AURORA and self._has_completed(since))

    def poll(self, key: str) -> Operation:
        """Go on with a switch; DONE when another server is written to and all are available."""
        look = self._aurora if self.database.kind == AURORA else self._rds
        way = Way(look=look, patience=SECONDS, hint=_HINT)
        return go_on(self.store, NAME, key, way, pause=self.aws.pause)

    def _aurora(self, operation: Operation) -> Seen:
        servers = self.database.servers()
        writer = next((each for each in servers if each.leads), None)
        before = operation.result.get("writer_before") or (writer.name if writer else "")
        noted: dict[str, Json] = {"writer_before": before}
        if writer is None:
            return Seen("no server is written to at this moment", noted)
        if writer.name != operation.target:
            return self._tell(operation, noted, f"{writer.name} is still written to")
        return _ended(servers, operation, noted | {"writer_after": writer.name})

    def _rds(self, operation: Operation) -> Seen:
        said = self.database.described()
        zone = said.get("AvailabilityZone", "")
        noted: dict[str, Json] = {"writer_before": operation.result.get("writer_before") or zone}
        # Since the first call: it may have completed between that and another one, made after a cut.
        told = operation.result.get("told_first")
        moved = told is not None and (zone != noted["writer_before"] or self._has_completed(float(str(told))))
        if not moved:
            return self._tell(operation, noted, f"it is still written to in {zone}")
        return _ended(self.database.servers(), operation, noted | {"writer_after": zone})

    def _has_completed(self, since: float) -> bool:
        """Whether RDS says so: its zones change places only some time after."""
        said = self.aws.all(
            "rds",
            "describe_events",
            "Events",
            SourceType="db-instance",
            SourceIdentifier=self.database.identifier,
            StartTime=datetime.fromtimestamp(since, UTC),
        )
        return any(_COMPLETED in each.get("Message", "").lower() for each in said)

    def _tell(self, operation: Operation, noted: dict[str, Json], waiting: str) -> Seen:
        told: Any = operation.result.get("told")
        moment = round(time.time(), 3)
        if told is not None and moment - told <= TELL_SECONDS:
            return Seen(waiting, noted)
        # Before the call: whoever goes on after a killed process has the moment and the writer from before it.
        first = operation.result.get("told_first", moment)
        self.store.update(operation, detail=waiting, result={**noted, "told": moment, "told_first": first})
        name = self.database.identifier
        try:
            if self.database.kind == AURORA:
                self.aws.call(
                    "rds",
                    "failover_db_cluster",
                    DBClusterIdentifier=name,
                    TargetDBInstanceIdentifier=operation.target,
                )
            else:
                self.aws.call("rds", "reboot_db_instance", DBInstanceIdentifier=name, ForceFailover=True)
        except AwsError as error:
            if not _UNDER_WAY.match(error.code):
                raise
            # It is at something, a switch perhaps: of another process, or of AWS's own.
            return Seen(f"{waiting}; AWS is at a change of it")
        return Seen(f"{name} is told to switch to {operation.target}")


def _ended(servers: list[Server], operation: Operation, noted: dict[str, Json]) -> Seen:
    """Say that it is over, once all are available; how long it took counts until another one was written to."""
    told: Any = operation.result.get("told_first")
    seconds = operation.result.get("switch_seconds")
    if seconds is None:
        seconds = round(time.time() - told, 1) if told is not None else 0.0
    noted |= {"switch_seconds": seconds}
    behind = [f"{each.name} {each.state}" for each in servers if not each.well]
    if behind:
        return Seen(f"{noted['writer_after']} is written to; waits for {', '.join(behind)}", noted)
    return Seen(
        f"{noted['writer_after']} is written to since {seconds} s after the call, all are available", noted, over=True
    )


def candidate(servers: list[Server], member: str, *, standby_only: bool) -> str:
    """Return the server that can take over: `member`, or for "" the first in order. Raises Refusal with a reason."""
    names = ", ".join(each.name for each in servers) or "none"
    others = [each for each in servers if not each.leads and (each.name == STANDBY or not standby_only)]
    if not others:
        raise Refusal(f"there is no other server to take over; there are {names}; set database.readers, `pulumi up`")
    if not member:
        fit = [each for each in others if each.well]
        if not fit:
            raise Refusal(f"no server is available to take over; there are {names}")
        return fit[0].name
    found = next((each for each in servers if each.name == member), None)
    if found is None:
        raise Refusal(f"the database has no member {member[:60]!r}; it has {names}")
    if found.leads:
        raise Refusal(f"{found.name} is written to already")
    if found not in others:
        raise Refusal(f"{found.name} is a replica for reads: it would lose what was just written; take {STANDBY}")
    if not found.well:
        raise Refusal(f"{found.name} is {found.state}: it cannot take over now")
    return found.name
