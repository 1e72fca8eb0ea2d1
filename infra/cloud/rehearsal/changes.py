"""Changes of a configuration, and exactly what each is expected to plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.settings import Settings

    Plan = set[tuple[str, str]]


def changed(settings: Settings, group: str, **values: Any) -> Settings:  # noqa: ANN401 - settings
    """Return settings with some of a group's values changed, as they are: an emulator's ids are not quite AWS's."""
    return settings.model_copy(update={group: getattr(settings, group).model_copy(update=values)})


OTHER_DOMAIN = "other.example.com"
_SCALING = ("target:Target",)


@dataclass(frozen=True)
class Change:
    """What is set differently, and what that plans: pairs of what is done and to which resource."""

    title: str
    of: Callable[[Settings], Settings]
    expected: Callable[[Settings], Plan]
    # Whether it would replace what is protected, so that the plan itself has to refuse.
    refused: Callable[[Settings], bool] = lambda _: False


def _colours(op: str, kind: str) -> Plan:
    return {(op, f"{kind} api-{colour}") for colour in ("blue", "green")}


def _larger_hosts(settings: Settings) -> Settings:
    larger = "c7g.4xlarge" if settings.api.instance_type != "c7g.4xlarge" else "c7g.8xlarge"
    return changed(settings, "api", instance_type=larger)


def _one_reader_more(settings: Settings) -> Plan:
    readers = settings.database.readers
    plan = {("create", f"aws:rds/clusterInstance:ClusterInstance database-{readers + 2}")}
    # From the first reader on they are as many as the load needs.
    return plan | {
        ("update" if readers else "create", f"aws:appautoscaling/{kind} database-readers") for kind in _SCALING
    }


def _another_domain(settings: Settings) -> Plan:
    region, old = settings.region, settings.names.domain
    records = "aws:route53/record:Record"
    plan = {
        ("replace", "aws:acm/certificate:Certificate api"),
        ("replace", "aws:acm/certificateValidation:CertificateValidation api"),
        ("update", "aws:lb/listener:Listener https"),
        *(("create", f"{records} {name}") for name in (OTHER_DOMAIN, f"{region}.{OTHER_DOMAIN}")),
        *(("delete", f"{records} {name}") for name in (old, f"{region}.{old}")),
        *(("replace", f"{records} {name}") for name in ("public", "regional")),
        ("update", "aws:route53/healthCheck:HealthCheck region"),
        ("update", "aws:cloudwatch/metricAlarm:MetricAlarm region"),
    }
    if settings.pipelines.repository is not None:
        # Whose records the role `up` changes.
        plan.add(("update", "aws:iam/policy:Policy up-front"))
    return plan if settings.names.zone_id else plan | {("replace", "aws:route53/zone:Zone zone")}


CHANGES: tuple[Change, ...] = (
    Change(
        "api.maximum + 1",
        lambda settings: changed(settings, "api", maximum=settings.api.maximum + 1),
        lambda _: _colours("update", "aws:autoscaling/group:Group"),
    ),
    Change(
        "api.instance_type",
        _larger_hosts,
        lambda _: (
            _colours("update", "aws:ec2/launchTemplate:LaunchTemplate")
            | _colours("update", "aws:autoscaling/group:Group")
        ),
    ),
    Change(
        "balancer.requests_per_address + 100",
        lambda settings: changed(
            settings, "balancer", requests_per_address=settings.balancer.requests_per_address + 100
        ),
        lambda _: {("update", "aws:wafv2/webAcl:WebAcl api")},
    ),
    Change(
        "database.readers + 1",
        lambda settings: changed(settings, "database", readers=settings.database.readers + 1),
        _one_reader_more,
    ),
    Change(
        "monitoring.budget_usd + 1",
        lambda settings: changed(settings, "monitoring", budget_usd=settings.monitoring.budget_usd + 1),
        lambda _: {("update", "aws:budgets/budget:Budget month")},
    ),
    Change(
        "names.domain",
        lambda settings: changed(settings, "names", domain=OTHER_DOMAIN),
        _another_domain,
        refused=lambda settings: settings.names.zone_id is None and settings.database.protect,
    ),
)
