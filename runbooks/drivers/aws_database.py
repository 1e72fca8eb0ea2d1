"""A managed database as it is: Aurora's cluster, or an RDS instance with its standby and replicas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from runbooks.drivers.aws import Aws, BusyError, GoneError
from runbooks.drivers.protocols import Member, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.environment import Environment

AURORA, RDS = "aurora", "rds"
KINDS = frozenset({AURORA, RDS})
AVAILABLE = "available"
STANDBY = "standby"
_LAG = {AURORA: ("AuroraReplicaLag", 1.0), RDS: ("ReplicaLag", 1000.0)}  # the metric, and milliseconds in its unit
_LAG_MINUTES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server: `tier` is who takes over first (Aurora), `lag_ms` how far it is behind, None where not known."""

    name: str
    leads: bool
    state: str
    zone: str
    kind: str
    tier: int = 0
    lag_ms: float | None = None

    @property
    def well(self) -> bool:
        """Whether it serves."""
        return self.state == AVAILABLE

    @property
    def member(self) -> Member:
        """The same in the drivers' words; AWS tells of a lag in time, not in bytes."""
        return Member(name=self.name, role="primary" if self.leads else "replica", lag=None)


@dataclass(frozen=True, slots=True)
class ManagedDatabase:
    """The database of an environment. Raises Refusal where the document names another kind."""

    environment: Environment

    @property
    def aws(self) -> Aws:
        """Where it is asked."""
        return Aws.of(self.environment)

    @property
    def kind(self) -> Literal["aurora", "rds"]:
        """Which of the two it is."""
        driver = self.environment.drivers.get("failover")
        if driver is None or driver.kind not in KINDS:
            raise Refusal(f"the database of {self.environment.name} is none of Amazon's; its own tools tell of it")
        return "aurora" if driver.kind == AURORA else "rds"

    @property
    def identifier(self) -> str:
        """Return the cluster's or the instance's name in the account."""
        driver = self.environment.drivers["failover"]
        return driver.settings.get("identifier") or self.aws.name("database")

    def described(self) -> dict[str, Any]:
        """Return what AWS says of the cluster, or of the instance that is written to. Raises AwsError."""
        return cluster(self.aws, self.identifier) if self.kind == AURORA else instance(self.aws, self.identifier)

    def servers(self, *, lags: bool = False) -> list[Server]:
        """Return the servers, the one that is written to first; `lags` asks for those too. Raises AwsError."""
        found = self._aurora() if self.kind == AURORA else self._rds()
        if lags:
            found = [each if each.leads or each.name == STANDBY else self._with_lag(each) for each in found]
        return sorted(found, key=lambda each: (not each.leads, each.tier, each.name))

    def _aurora(self) -> list[Server]:
        members = cluster(self.aws, self.identifier)["DBClusterMembers"]
        said = self.aws.all(
            "rds",
            "describe_db_instances",
            "DBInstances",
            Filters=[{"Name": "db-cluster-id", "Values": [self.identifier]}],
        )
        there = {each["DBInstanceIdentifier"]: each for each in said}
        return [
            _server(
                there.get(each["DBInstanceIdentifier"], {"DBInstanceIdentifier": each["DBInstanceIdentifier"]}),
                leads=each["IsClusterWriter"],
                tier=each.get("PromotionTier", 0),
            )
            for each in members
        ]

    def _rds(self) -> list[Server]:
        said = instance(self.aws, self.identifier)
        found = [_server(said, leads=True)]
        if said.get("MultiAZ"):
            # It has no name of its own and answers nobody until it takes over.
            zone = said.get("SecondaryAvailabilityZone", "")
            found.append(Server(name=STANDBY, leads=False, state=AVAILABLE, zone=zone, kind=said["DBInstanceClass"]))
        replicas = said.get("ReadReplicaDBInstanceIdentifiers") or ()
        return [
            *found,
            *(_server(instance(self.aws, each.rpartition(":")[2]), leads=False, tier=1) for each in replicas),
        ]

    def _with_lag(self, server: Server) -> Server:
        metric, unit = _LAG[self.kind]
        ends = datetime.now(UTC)
        try:
            said = self.aws.call(
                "cloudwatch",
                "get_metric_statistics",
                Namespace="AWS/RDS",
                MetricName=metric,
                Dimensions=[{"Name": "DBInstanceIdentifier", "Value": server.name}],
                StartTime=ends - timedelta(minutes=_LAG_MINUTES),
                EndTime=ends,
                Period=60,
                Statistics=["Maximum"],
            )["Datapoints"]
        except BusyError:
            return server  # how far it is behind is not known, and the rest of the table is
        newest = max(said, key=lambda each: each["Timestamp"], default=None)
        if newest is None:
            return server
        return Server(
            name=server.name,
            leads=server.leads,
            state=server.state,
            zone=server.zone,
            kind=server.kind,
            tier=server.tier,
            lag_ms=round(newest["Maximum"] * unit, 1),
        )


def cluster(aws: Aws, name: str) -> dict[str, Any]:
    """Return what AWS says of a cluster. Raises AwsError; GoneError where there is none."""
    said = aws.call("rds", "describe_db_clusters", DBClusterIdentifier=name)["DBClusters"]
    if not said:
        raise GoneError(f"there is no cluster {name} in {aws.region}")
    found: dict[str, Any] = said[0]
    return found


def instance(aws: Aws, name: str) -> dict[str, Any]:
    """Return what AWS says of an instance. Raises AwsError; GoneError where there is none."""
    said = aws.call("rds", "describe_db_instances", DBInstanceIdentifier=name)["DBInstances"]
    if not said:
        raise GoneError(f"there is no database {name} in {aws.region}")
    found: dict[str, Any] = said[0]
    return found


def _server(said: Mapping[str, Any], *, leads: bool, tier: int = 0) -> Server:
    return Server(
        name=said["DBInstanceIdentifier"],
        leads=leads,
        state=said.get("DBInstanceStatus", "unknown"),
        zone=said.get("AvailabilityZone", ""),
        kind=said.get("DBInstanceClass", ""),
        tier=tier,
    )
