"""What CloudWatch watches, and when it is too much: only what Prometheus cannot see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pulumi

    from infra.cloud.settings import DatabaseSettings

_GIGABYTE, _DAY = 1024**3, 86_400
_LIMITS: Mapping[str, str] = {"above": "GreaterThanThreshold", "below": "LessThanThreshold"}


@dataclass(frozen=True, kw_only=True)
class Watch:
    """One alarm: `limit` of a metric, or of the last of `queries`, for `minutes`; `silence` is what no data means."""

    part: str
    says: str
    limit: float
    namespace: str | None = None
    metric: str | None = None
    dimensions: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    statistic: str | None = None
    queries: Sequence[Mapping[str, Any]] = ()
    is_: Literal["above", "below"] = "above"
    period: int = 60
    minutes: int = 5
    silence: Literal["breaching", "notBreaching"] = "notBreaching"
    # Beside telling people: what AWS does by itself.
    action: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Return it as an alarm's arguments."""
        where = {} if self.queries else {"namespace": self.namespace, "metric_name": self.metric, "period": self.period}
        return {
            **where,
            "dimensions": dict(self.dimensions) or None,
            "statistic": self.statistic,
            "metric_queries": list(self.queries) or None,
            "alarm_description": self.says,
            "comparison_operator": _LIMITS[self.is_],
            "threshold": self.limit,
            "evaluation_periods": max(1, self.minutes * 60 // self.period),
            "treat_missing_data": self.silence,
        }


def balancer(suffix: pulumi.Input[str], groups: Mapping[str, pulumi.Input[str]]) -> list[Watch]:
    """Watch the balancer itself: `groups` are its target groups' suffixes by colour."""
    alb = "AWS/ApplicationELB"
    made = [
        Watch(
            part="balancer-errors",
            says="The balancer itself answers with 5xx: no host took the request, or none answered in time",
            namespace=alb,
            metric="HTTPCode_ELB_5XX_Count",
            dimensions={"LoadBalancer": suffix},
            statistic="Sum",
            limit=10,
        )
    ]
    made += [
        Watch(
            part=f"unhealthy-{colour}",
            says=f"A {colour} host fails the balancer's health check for 10 minutes: its replacement does not help",
            namespace=alb,
            metric="UnHealthyHostCount",
            dimensions={"LoadBalancer": suffix, "TargetGroup": group},
            statistic="Maximum",
            limit=0,
            minutes=10,
        )
        for colour, group in groups.items()
    ]
    healthy = [
        _query(colour, alb, "HealthyHostCount", {"LoadBalancer": suffix, "TargetGroup": group}, "Minimum")
        for colour, group in groups.items()
    ]
    # Both colours together: which one is live changes with each release.
    total = " + ".join(f"FILL({colour}, 0)" for colour in groups)
    made.append(
        Watch(
            part="no-hosts",
            says="The balancer has no healthy host: nobody gets an answer",
            queries=[*healthy, {"id": "total", "expression": total, "label": "Healthy hosts", "return_data": True}],
            is_="below",
            limit=1,
            minutes=2,
            silence="breaching",
        )
    )
    return made


def firewall(metric: pulumi.Input[str], region: str) -> list[Watch]:
    """Watch what the web firewall turns away."""
    return [
        Watch(
            part="blocked",
            says="The web firewall blocks over 5,000 requests in 5 minutes: an attack, or a rule that hits clients",
            namespace="AWS/WAFV2",
            metric="BlockedRequests",
            dimensions={"WebACL": metric, "Region": region, "Rule": "ALL"},
            statistic="Sum",
            limit=5_000,
            period=300,
        )
    ]


def database(settings: DatabaseSettings, identifier: pulumi.Input[str]) -> list[Watch]:
    """Watch Amazon's database; one of ours has exporters."""
    if settings.kind == "patroni":
        return []
    aurora = settings.kind == "aurora"
    of = {"DBClusterIdentifier" if aurora else "DBInstanceIdentifier": identifier}
    gigabytes = 5 if aurora else max(5, settings.storage_gb // 10)

    def watch(part: str, says: str, metric: str, limit: float, **more: Any) -> Watch:  # noqa: ANN401 - a watch's own
        given = {"dimensions": of, "statistic": "Average", "minutes": 15, **more}
        return Watch(part=part, says=says, namespace="AWS/RDS", metric=metric, limit=limit, **given)

    made = [
        watch("database-cpu", "The database's processors are over 85 % busy for 15 minutes", "CPUUtilization", 85),
        watch(
            "database-storage",
            f"The database has less than {gigabytes} GB of {'local storage for sorting' if aurora else 'storage'} left",
            "FreeLocalStorage" if aurora else "FreeStorageSpace",
            gigabytes * _GIGABYTE,
            is_="below",
            statistic="Minimum",
        ),
    ]
    if aurora and settings.readers:
        says = "A reader is over a second behind the writer: answers are old"
        made.append(watch("database-lag", says, "AuroraReplicaLagMaximum", 1_000, statistic="Maximum", minutes=5))
    return made


def snapshots(vault: str) -> list[Watch]:
    """Watch that a database that AWS runs is backed up each day, whatever may keep it from that."""
    return [
        Watch(
            part="snapshots",
            says="No snapshot of the database for two days, or none yet: AWS Backup's jobs say why",
            namespace="AWS/Backup",
            metric="NumberOfBackupJobsCompleted",
            dimensions={"BackupVaultName": vault},
            statistic="Sum",
            is_="below",
            limit=1,
            period=_DAY,
            minutes=2 * _DAY // 60,
            silence="breaching",
        )
    ]


def account() -> list[Watch]:
    """Watch the account's own limits: at the quota, no group gets another host."""
    usage = {"Type": "Resource", "Service": "EC2", "Resource": "vCPU", "Class": "Standard/OnDemand"}
    share = "used / SERVICE_QUOTA(used) * 100"
    return [
        Watch(
            part="quota",
            says="Over 80 % of the account's quota of vCPUs is in use: ask for more before scaling fails",
            queries=[
                _query("used", "AWS/Usage", "ResourceCount", usage, "Maximum", period=300),
                {"id": "share", "expression": share, "label": "Percent of the quota", "return_data": True},
            ],
            limit=80,
            period=300,
            minutes=10,
        )
    ]


def dead_man(host: pulumi.Input[str], region: str) -> list[Watch]:
    """Watch the watcher: without Prometheus, none of its alerts comes."""
    where = {"InstanceId": host}
    return [
        Watch(
            part="monitoring-down",
            says="The monitoring host fails its checks or is gone: no alert of Prometheus' will come",
            namespace="AWS/EC2",
            metric="StatusCheckFailed",
            dimensions=where,
            statistic="Maximum",
            limit=0,
            minutes=3,
            silence="breaching",
        ),
        Watch(
            part="monitoring-machine",
            says="The machine below the monitoring host is broken: AWS moves the host to another one",
            namespace="AWS/EC2",
            metric="StatusCheckFailed_System",
            dimensions=where,
            statistic="Maximum",
            limit=0,
            minutes=3,
            action=f"arn:aws:automate:{region}:ec2:recover",
        ),
    ]


def _query(  # noqa: PLR0913, PLR0917 - the parts of one metric
    name: str, namespace: str, metric: str, dimensions: Mapping[str, Any], statistic: str, period: int = 60
) -> dict[str, Any]:
    of = {"namespace": namespace, "metric_name": metric, "dimensions": dimensions, "stat": statistic, "period": period}
    return {"id": name, "metric": of, "return_data": False}
