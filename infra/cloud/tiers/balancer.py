"""The load balancer: what clients reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_aws import lb

from infra.cloud.site import Site, Tier
from infra.cloud.tiers.access_logs import AccessLogs
from infra.cloud.tiers.firewall import API_PORTS, HTTP, HTTPS
from infra.cloud.tiers.names import READY
from infra.cloud.tiers.shield import Shield, ShieldArgs

if TYPE_CHECKING:
    import pulumi

# 1.3, and of 1.2 only what has forward secrecy and authenticated encryption.
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
# Below the 75 s that the API keeps its connections: the other way around the balancer meets closed ones.
IDLE_SECONDS = 60
# An API that stops answers what it has begun; the balancer waits no longer than it does.
DRAIN_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class BalancerArgs:
    """`group` is its security group, `certificate` that of the public name, `logs_key` encrypts WAF's log."""

    site: Site
    vpc_id: pulumi.Input[str]
    subnets: tuple[pulumi.Input[str], ...]
    group: pulumi.Input[str]
    certificate: pulumi.Input[str]
    logs_key: pulumi.Input[str]


class Balancer(Tier):
    """HTTPS for clients and to the hosts; `target_groups` of both colours, of which the settings say which is live."""

    def __init__(self, name: str, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._args, self._site = args, args.site
        # These names have 32 characters at most: the project's is left out.
        self._prefix = args.site.settings.environment
        balancer = self._balancer()
        self.arn, self.dns_name, self.zone_id = balancer.arn, balancer.dns_name, balancer.zone_id
        self.arn_suffix = balancer.arn_suffix
        groups = {colour: self._target_group(colour, port) for colour, port in API_PORTS.items()}
        self.target_groups = {colour: each.arn for colour, each in groups.items()}
        self.target_group_suffixes = {colour: each.arn_suffix for colour, each in groups.items()}
        self.listener_arn = self._listeners()
        shield = ShieldArgs(site=args.site, balancer=self.arn, logs_key=args.logs_key)
        self.web_acl_metric = Shield("shield", shield, self.child()).metric
        self.register_outputs({"arn": self.arn, "dns_name": self.dns_name, "listener_arn": self.listener_arn})

    def _balancer(self) -> lb.LoadBalancer:
        site, args = self._site, self._args
        bucket = AccessLogs("access-logs", site, f"{self._prefix}-api", self.child())
        return lb.LoadBalancer(
            "api",
            name=f"{self._prefix}-api",
            load_balancer_type="application",
            internal=False,
            subnets=list(args.subnets),
            security_groups=[args.group],
            idle_timeout=IDLE_SECONDS,
            # Requests that two parties could read differently are how one client gets another's answer.
            drop_invalid_header_fields=True,
            desync_mitigation_mode="strictest",
            # Without WAF no request passes: an attack on it must not open the door.
            enable_waf_fail_open=False,
            enable_http2=True,
            # Its name is in the public zone, and clients have it in their caches.
            enable_deletion_protection=site.settings.database.protect,
            access_logs=lb.LoadBalancerAccessLogsArgs(bucket=bucket.name, enabled=True),
            tags=site.tags("api"),
            # AWS writes a trial log when it is made: the bucket has to let it.
            opts=self.child(depends_on=[bucket]),
        )

    def _target_group(self, colour: str, port: int) -> lb.TargetGroup:
        return lb.TargetGroup(
            colour,
            name=f"{self._prefix}-{colour}",
            vpc_id=self._args.vpc_id,
            target_type="instance",
            protocol="HTTPS",
            port=port,
            deregistration_delay=DRAIN_SECONDS,
            # A host that is busy with bulk requests gets fewer; the classes of requests cost very differently.
            load_balancing_algorithm_type="least_outstanding_requests",
            health_check=lb.TargetGroupHealthCheckArgs(
                enabled=True,
                protocol="HTTPS",
                port="traffic-port",
                path=READY,
                matcher="200",
                interval=10,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=3,
            ),
            tags=self._site.tags(f"api-{colour}", colour=colour),
            opts=self.child(),
        )

    def _listeners(self) -> pulumi.Output[str]:
        """Answer HTTPS, and send whoever comes by HTTP there."""
        live = self._site.settings.api.live
        shares = [
            lb.ListenerDefaultActionForwardTargetGroupArgs(arn=arn, weight=100 if colour == live else 0)
            for colour, arn in self.target_groups.items()
        ]
        listener = lb.Listener(
            "https",
            load_balancer_arn=self.arn,
            port=HTTPS,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=self._args.certificate,
            # A deploy moves the shares and ends by writing the live colour to the settings; until it has, a preview
            # shows the way back.
            default_actions=[
                lb.ListenerDefaultActionArgs(
                    type="forward", forward=lb.ListenerDefaultActionForwardArgs(target_groups=shares)
                )
            ],
            tags=self._site.tags("https"),
            opts=self.child(),
        )
        redirect = lb.ListenerDefaultActionRedirectArgs(protocol="HTTPS", port=str(HTTPS), status_code="HTTP_301")
        lb.Listener(
            "http",
            load_balancer_arn=self.arn,
            port=HTTP,
            protocol="HTTP",
            default_actions=[lb.ListenerDefaultActionArgs(type="redirect", redirect=redirect)],
            tags=self._site.tags("http"),
            opts=self.child(),
        )
        return listener.arn
