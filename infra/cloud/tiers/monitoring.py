"""Monitoring: a host with Prometheus, Alertmanager and Grafana; as a choice, Amazon's store behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.cloud.site import Tier
from infra.cloud.tiers.hosts import HostArgs, instance, volume
from infra.cloud.tiers.policy import allow, document

if TYPE_CHECKING:
    from infra.cloud.site import Site

PROMETHEUS_PORT = 9090
# With Amazon's store behind it, the host keeps what its own rules look back at.
SHORT_GB, LOG_DAYS = 20, 90


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """`subnets` are the three private ones; keys are ARNs; `role` and `profile` are names."""

    site: Site
    image: pulumi.Input[str]
    subnets: tuple[pulumi.Input[str], ...]
    group: pulumi.Input[str]
    role: pulumi.Input[str]
    profile: pulumi.Input[str]
    data_key: pulumi.Input[str]
    logs_key: pulumi.Input[str]


class Monitoring(Tier):
    """`prometheus_url` answers PromQL; `store_url` is what the host writes to as well, `store_arn` whose that is.

    Both are None without a store of Amazon's. The host is there in both cases: Amazon's service fetches nothing from
    hosts, and its questions have to be signed.
    """

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site, settings = args.site, args.site.settings.monitoring
        managed = settings.kind == "managed"
        of = HostArgs(
            site=site,
            role="monitoring",
            instance_type=settings.instance_type,
            image=args.image,
            subnet=args.subnets[1],  # not the node's zone: what sees a failure should not share it
            groups=(args.group,),
            profile=args.profile,
            key=args.data_key,
            zone=site.zones[1],
        )
        host = instance("monitoring", of, self.child())
        volume("monitoring", host, of, min(SHORT_GB, settings.volume_gb) if managed else settings.volume_gb, self)
        self.address, self.identifier = host.private_ip, host.id
        self.prometheus_url = pulumi.Output.format("https://{0}:{1}", host.private_ip, PROMETHEUS_PORT)
        self.store_url: pulumi.Output[str] | None = None
        self.store_arn: pulumi.Output[str] | None = None
        if managed:
            store = self._store(args)
            self.store_url, self.store_arn = store.prometheus_endpoint, store.arn
        self.register_outputs(
            {"prometheus_url": self.prometheus_url, "address": self.address, "store_url": self.store_url}
        )

    def _store(self, args: MonitoringArgs) -> aws.amp.Workspace:
        """Make the workspace, and let the host write to it and ask it."""
        site = args.site
        logs = aws.cloudwatch.LogGroup(
            "prometheus",
            # AMP takes no group whose name begins otherwise.
            name=f"/aws/vendedlogs/prometheus/{site.prefix}",
            retention_in_days=LOG_DAYS,
            kms_key_id=args.logs_key,
            tags=site.tags("prometheus"),
            opts=self.child(),
        )
        workspace = aws.amp.Workspace(
            "prometheus",
            alias=site.name("prometheus"),
            kms_key_arn=args.data_key,
            logging_configuration={"log_group_arn": pulumi.Output.concat(logs.arn, ":*")},
            tags=site.tags("prometheus"),
            opts=self.child(protect=site.settings.database.protect),
        )
        calls = ("RemoteWrite", "QueryMetrics", "GetSeries", "GetLabels", "GetMetricMetadata")
        aws.iam.RolePolicy(
            "prometheus",
            name=site.name("prometheus"),
            role=args.role,
            policy=document([allow([f"aps:{each}" for each in calls], [workspace.arn])]),
            opts=self.child(),
        )
        return workspace
