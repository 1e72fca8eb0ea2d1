"""The table: every type of resource that the rehearsal can make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.rehearsal.kinds import (
    acm,
    amp,
    appautoscaling,
    aurora,
    autoscaling,
    backup,
    budgets,
    cloudtrail,
    cloudwatch,
    ec2_hosts,
    elasticache,
    elb,
    endpoints,
    firewall,
    grafana,
    iam,
    identities,
    kms,
    launch_templates,
    listeners,
    log_filters,
    rds,
    rds_groups,
    route53,
    routes,
    s3,
    secretsmanager,
    sns,
    vpc,
    waf,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.cloud.rehearsal.kind import Kind

_MODULES = (
    waf,
    secretsmanager,
    routes,
    route53,
    firewall,
    endpoints,
    elasticache,
    elb,
    acm,
    amp,
    appautoscaling,
    aurora,
    autoscaling,
    backup,
    budgets,
    cloudtrail,
    cloudwatch,
    ec2_hosts,
    grafana,
    iam,
    identities,
    kms,
    launch_templates,
    listeners,
    log_filters,
    rds,
    rds_groups,
    s3,
    sns,
    vpc,
)
KINDS: Mapping[str, Kind] = {kind.type: kind for module in _MODULES for kind in module.KINDS}
