"""The public names: the zone, this region's share of the clients, and the check that takes a dead region out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_aws import cloudwatch, kms, route53, sns

from infra.cloud.site import Site, Tier
from infra.cloud.tiers.firewall import HTTPS
from infra.cloud.tiers.keys import DELETION_DAYS, notifiers, policy

if TYPE_CHECKING:
    from infra.cloud.settings import Settings

READY = "/health/ready"
# Route 53 has its metrics here, wherever what it checks lies; an alarm and its topic have to be in one region.
CHECKS_REGION = "us-east-1"
_EVERYONE = "0.0.0.0/0"


def regional(site: Site) -> str:
    """Return this region's own name: `eu-west-1.api.example.com`."""
    return f"{site.region}.{site.settings.names.domain}"


def checked(settings: Settings) -> bool:
    """Whether Route 53 can check the health: its hosts are let in only where everyone is."""
    return _EVERYONE in settings.balancer.allowed


@dataclass(frozen=True, kw_only=True)
class ZoneArgs:
    """Whose zone it is."""

    site: Site


class Zone(Tier):
    """`zone_id` of the zone of the settings, or of one that is made here; then `servers` has its name servers."""

    def __init__(self, name: str, args: ZoneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site = args.site
        given = site.settings.names.zone_id
        self.zone_id: pulumi.Output[str] = pulumi.Output.from_input(given or "")
        self.servers: pulumi.Output[Any] = pulumi.Output.from_input([])
        if given is None:
            zone = route53.Zone(
                "zone",
                name=site.settings.names.domain,
                comment=f"Names of {site.prefix}",
                # A new one has other name servers: whoever delegates to this one would have to change them.
                force_destroy=False,
                tags=site.tags("zone"),
                opts=self.child(protect=site.settings.database.protect),
            )
            self.zone_id, self.servers = zone.zone_id, zone.name_servers
        self.register_outputs({"zone_id": self.zone_id, "servers": self.servers})


@dataclass(frozen=True, kw_only=True)
class NamesArgs:
    """The zone, and the balancer's name and zone."""

    site: Site
    zone_id: pulumi.Input[str]
    balancer_name: pulumi.Input[str]
    balancer_zone: pulumi.Input[str]


class Names(Tier):
    """The records. `domain` and `regional` are the names that answer."""

    def __init__(self, name: str, args: NamesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._args, self._site = args, args.site
        self.zone_id = pulumi.Output.from_input(args.zone_id)
        self.domain, self.regional = args.site.settings.names.domain, regional(args.site)
        self._record("regional", self.regional)
        check = {"health_check_id": self._check()} if checked(args.site.settings) else {}
        self._record("public", self.domain, set_identifier=args.site.region, **self._routing(), **check)
        self.register_outputs({"zone_id": self.zone_id, "domain": self.domain, "regional": self.regional})

    def _record(self, part: str, name: str, **more: Any) -> None:  # noqa: ANN401 - the resource's own types
        route53.Record(
            part,
            zone_id=self.zone_id,
            name=name,
            type="A",
            aliases=[
                route53.RecordAliasArgs(
                    name=self._args.balancer_name,
                    zone_id=self._args.balancer_zone,
                    # Without a healthy host the balancer's region is no answer, whatever its share.
                    evaluate_target_health=True,
                )
            ],
            opts=self.child(),
            **more,
        )

    def _routing(self) -> dict[str, Any]:
        """Return how regions share the clients: by weight, or one alone until it fails."""
        names = self._site.settings.names
        if names.failover == "none":
            return {"weighted_routing_policies": [route53.RecordWeightedRoutingPolicyArgs(weight=names.share)]}
        return {"failover_routing_policies": [route53.RecordFailoverRoutingPolicyArgs(type=names.failover.upper())]}

    def _check(self) -> pulumi.Output[str]:
        """Ask this region's own name from many places, as clients do: through DNS, the certificate and the balancer."""
        site = self._site
        check = route53.HealthCheck(
            "region",
            type="HTTPS",
            fqdn=self.regional,
            port=HTTPS,
            resource_path=READY,
            enable_sni=True,
            # A check that is switched off or upside down by hand is drift, as everything that is said here.
            disabled=False,
            invert_healthcheck=False,
            # Three misses in half a minute: a deploy or one lost packet moves no clients.
            request_interval=10,
            failure_threshold=3,
            tags=site.tags("region"),
            opts=self.child(),
        )
        cloudwatch.MetricAlarm(
            "region",
            region=CHECKS_REGION,
            name=site.name(f"{site.region}-down"),
            alarm_description=f"Clients are sent away from {site.region}: {self.regional} does not answer.",
            namespace="AWS/Route53",
            metric_name="HealthCheckStatus",
            dimensions={"HealthCheckId": check.id},
            statistic="Minimum",
            comparison_operator="LessThanThreshold",
            threshold=1,
            period=60,
            evaluation_periods=1,
            # A check that reports nothing is no sign of health.
            treat_missing_data="breaching",
            alarm_actions=[self._topic()],
            tags=site.tags("region"),
            opts=self.child(),
        )
        return check.id

    def _topic(self) -> pulumi.Output[str]:
        """Make a topic where Route 53's alarms are: one of another region cannot be used."""
        site = self._site
        key = kms.Key(
            "checks",
            region=CHECKS_REGION,
            description=f"Notifications of the health checks of {site.prefix}",
            deletion_window_in_days=DELETION_DAYS,
            enable_key_rotation=True,
            policy=pulumi.Output.json_dumps(policy([notifiers(site.account)], site.account)),
            tags=site.tags("checks"),
            opts=self.child(),
        )
        topic = sns.Topic(
            "checks",
            region=CHECKS_REGION,
            name=site.name(f"{site.region}-checks"),
            kms_master_key_id=key.arn,
            tags=site.tags("checks"),
            opts=self.child(),
        )
        sns.TopicSubscription(
            "checks",
            region=CHECKS_REGION,
            topic=topic.arn,
            protocol="email",
            endpoint=site.settings.monitoring.email,
            opts=self.child(),
        )
        return topic.arn
