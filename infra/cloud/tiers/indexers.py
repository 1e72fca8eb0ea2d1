"""The indexer's hosts: API in two colours of which one is live, and sync, each in groups over three zones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi_aws as aws

from infra.cloud.devices import ROOT_DEVICE
from infra.cloud.site import Tier
from infra.cloud.tiers.access import METRICS_NAMESPACE
from infra.cloud.tiers.hosts import METADATA, encoded, user_data

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from infra.cloud.site import Site

COLOURS = ("blue", "green")
# The host that writes tells it each minute: playbooks/roles/lag.
LAG_METRIC, LAG_BLOCKS = "IndexerLagBlocks", 6
ROOT_GB = 30
# From a host's start until it answers: installing, starting, filling its pools. Counted or checked before, it would
# be replaced, or more hosts added, while it is still on its way.
WARM_UP_SECONDS = 300
_METRICS = (
    aws.autoscaling.Metric.GROUP_MIN_SIZE,
    aws.autoscaling.Metric.GROUP_MAX_SIZE,
    aws.autoscaling.Metric.GROUP_DESIRED_CAPACITY,
    aws.autoscaling.Metric.GROUP_IN_SERVICE_INSTANCES,
    aws.autoscaling.Metric.GROUP_PENDING_INSTANCES,
)


@dataclass(frozen=True, kw_only=True)
class IndexersArgs:
    """`subnets` are the three private ones; `target_groups` are ARNs by colour.

    `label` by colour is what the balancer counts requests under: `app/NAME/ID/targetgroup/NAME/ID`.
    """

    site: Site
    image: pulumi.Input[str]
    subnets: tuple[pulumi.Input[str], ...]
    api_group: pulumi.Input[str]
    sync_group: pulumi.Input[str]
    profiles: Mapping[str, pulumi.Input[str]]
    key: pulumi.Input[str]
    target_groups: Mapping[str, pulumi.Input[str]]
    labels: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class _Group:
    """One auto scaling group; `behind` is its target group, `warm` how many hosts stand by."""

    part: str
    role: str
    instance_type: str
    security_group: pulumi.Input[str]
    minimum: int
    maximum: int
    warm: int = 0
    behind: pulumi.Input[str] | None = None
    colour: str | None = None


class Indexers(Tier):
    """`groups` are the names of the auto scaling groups: `api-blue`, `api-green`, `sync`.

    With `image`, of a host that was deployed to, a new host serves by itself: the balancer's checks count, and some
    stand by. Without it a host waits for the playbooks, so neither can be: it would be replaced before they come.
    """

    def __init__(self, name: str, args: IndexersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.groups: dict[str, pulumi.Output[str]] = {}
        for colour in COLOURS:
            self._api(colour, args)
        self._sync(args)
        self.register_outputs({"groups": self.groups})

    def _api(self, colour: str, args: IndexersArgs) -> None:
        api = args.site.settings.api
        live = colour == api.live
        group = self._group(
            _Group(
                part=f"api-{colour}",
                role="api",
                instance_type=api.instance_type,
                security_group=args.api_group,
                # The other colour costs nothing until a release brings it up.
                minimum=api.minimum if live else 0,
                maximum=api.maximum,
                warm=api.warm if live else 0,
                behind=args.target_groups[colour],
                colour=colour,
            ),
            args,
        )
        aws.autoscaling.Policy(
            f"api-{colour}-requests",
            name=args.site.name(f"api-{colour}-requests"),
            autoscaling_group_name=group.name,
            policy_type="TargetTrackingScaling",
            estimated_instance_warmup=WARM_UP_SECONDS,
            target_tracking_configuration={
                "predefined_metric_specification": {
                    "predefined_metric_type": "ALBRequestCountPerTarget",
                    "resource_label": args.labels[colour],
                },
                # AWS counts a minute's requests.
                "target_value": float(api.requests_per_host * 60),
                # A release's colour has no requests before the switch: it must not be taken away meanwhile.
                "disable_scale_in": not live,
            },
            opts=self.child(),
        )

    def _sync(self, args: IndexersArgs) -> None:
        site, sync = args.site, args.site.settings.sync
        group = self._group(
            _Group(
                part="sync",
                role="sync",
                instance_type=sync.instance_type,
                security_group=args.sync_group,
                minimum=sync.hosts,
                maximum=sync.hosts + 1,
            ),
            args,
        )
        # One host writes, so another one makes nothing faster: it is there to take over where the writer's own
        # host is what lags (a worn-out disk, a noisy neighbour).
        above: aws.autoscaling.PolicyStepAdjustmentArgsDict = {
            "scaling_adjustment": 1,
            "metric_interval_lower_bound": "0",
        }
        below: aws.autoscaling.PolicyStepAdjustmentArgsDict = {
            "scaling_adjustment": -1,
            "metric_interval_upper_bound": "0",
        }
        for part, step in (("lag", above), ("caught-up", below)):
            policy = aws.autoscaling.Policy(
                f"sync-{part}",
                name=site.name(f"sync-{part}"),
                autoscaling_group_name=group.name,
                policy_type="StepScaling",
                adjustment_type="ChangeInCapacity",
                metric_aggregation_type="Maximum",
                estimated_instance_warmup=WARM_UP_SECONDS,
                step_adjustments=[step],
                opts=self.child(),
            )
            self._lag(part, policy, site)

    def _lag(self, part: str, policy: aws.autoscaling.Policy, site: Site) -> None:
        behind = part == "lag"
        aws.cloudwatch.MetricAlarm(
            f"sync-{part}",
            name=site.name(f"sync-{part}"),
            alarm_description=f"Sync is {'far behind' if behind else 'at'} the chain's tip: scales, tells nobody",
            namespace=METRICS_NAMESPACE,
            metric_name=LAG_METRIC,
            dimensions={"environment": site.settings.environment},
            statistic="Maximum",
            comparison_operator="GreaterThanThreshold" if behind else "LessThanOrEqualToThreshold",
            threshold=LAG_BLOCKS if behind else 1,
            period=60,
            evaluation_periods=10 if behind else 60,
            # No metric is no reason to scale; that sync is silent is what Prometheus alerts on.
            treat_missing_data="notBreaching",
            alarm_actions=[policy.arn],
            tags=site.tags(f"sync-{part}"),
            opts=self.child(),
        )

    def _group(self, of: _Group, args: IndexersArgs) -> aws.autoscaling.Group:
        site, template = args.site, self._template(of, args)
        tags = site.tags(of.part, role=of.role, **({"colour": of.colour} if of.colour else {}))
        whole = site.settings.image is not None
        # Started once and stopped again: in service within a minute, and only its disk is paid for. Unless it is told
        # how many hosts there may be with them, the pool holds all that the group might ever grow by.
        warm: aws.autoscaling.GroupWarmPoolArgsDict = {
            "pool_state": "Stopped",
            "min_size": of.warm,
            "max_group_prepared_capacity": of.minimum + of.warm,
        }
        group = aws.autoscaling.Group(
            of.part,
            name=site.name(of.part),
            min_size=of.minimum,
            max_size=of.maximum,
            vpc_zone_identifiers=list(args.subnets),
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            target_group_arns=[of.behind] if of.behind is not None else [],
            # A host whose process hangs answers EC2's checks all the same: the balancer's are what counts.
            health_check_type="ELB" if of.behind is not None and whole else "EC2",
            health_check_grace_period=WARM_UP_SECONDS,
            # A new template is rolled out host by host, the new one first, and back if its hosts do not get healthy.
            instance_refresh={
                "strategy": "Rolling",
                "preferences": {
                    "min_healthy_percentage": 100,
                    "max_healthy_percentage": 150,
                    "instance_warmup": str(WARM_UP_SECONDS),
                    "auto_rollback": True,
                    "skip_matching": True,
                },
            },
            warm_pool=warm if of.warm and whole else None,
            enabled_metrics=list(_METRICS),
            metrics_granularity="1Minute",
            # `up` does not wait for what only the playbooks finish.
            wait_for_capacity_timeout="0",
            tags=[{"key": key, "value": value, "propagate_at_launch": True} for key, value in tags.items()],
            # No desired capacity: scaling and releases set it, and no `up` may take their hosts away.
            opts=self.child(),
        )
        self.groups[of.part] = group.name
        return group

    def _template(self, of: _Group, args: IndexersArgs) -> aws.ec2.LaunchTemplate:
        site = args.site
        tags = site.tags(of.part, role=of.role)
        # Debian brings out an image every few weeks: a template of it would roll all hosts, to ones without software.
        newest = ["image_id"] if site.settings.image is None else []
        return aws.ec2.LaunchTemplate(
            of.part,
            name=site.name(of.part),
            description=f"{of.part} hosts of {site.settings.environment}",
            image_id=args.image,
            instance_type=of.instance_type,
            iam_instance_profile={"name": args.profiles[of.role]},
            metadata_options=METADATA,
            network_interfaces=[
                # Said, not left to the subnet's own setting.
                {
                    "device_index": 0,
                    "associate_public_ip_address": "false",
                    "delete_on_termination": "true",
                    "security_groups": [of.security_group],
                }
            ],
            block_device_mappings=[
                {
                    "device_name": ROOT_DEVICE,
                    "ebs": {
                        "volume_type": "gp3",
                        "volume_size": ROOT_GB,
                        "encrypted": "true",
                        "kms_key_id": args.key,
                        "delete_on_termination": "true",
                    },
                }
            ],
            ebs_optimized="true",
            user_data=encoded(user_data(site, of.role, of.instance_type)),
            # The group's tags go to its hosts, not to their disks and interfaces.
            tag_specifications=[{"resource_type": each, "tags": tags} for each in ("volume", "network-interface")],
            update_default_version=True,
            tags=site.tags(of.part),
            opts=self.child(ignore_changes=newest),
        )
