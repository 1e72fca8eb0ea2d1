"""Alarms for what Prometheus cannot see, and the topic that they and the database's events are told on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.cloud.site import Tier
from infra.cloud.tiers import snapshots, watches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.cloud.site import Site

_EVENTS = {
    "aurora": ("db-cluster", ("failover", "failure", "deletion", "maintenance", "notification")),
    "rds": (
        "db-instance",
        ("availability", "failover", "failure", "low storage", "deletion", "maintenance", "notification", "recovery"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    """`key` (an ARN) has to let CloudWatch and RDS use it; suffixes are as CloudWatch names balancer and targets.

    `monitoring` is the host's id; `web_acl_metric` is the name that the web firewall counts under.
    """

    site: Site
    key: pulumi.Input[str]
    balancer_suffix: pulumi.Input[str]
    target_group_suffixes: Mapping[str, pulumi.Input[str]]
    web_acl_metric: pulumi.Input[str]
    database: pulumi.Input[str]
    monitoring: pulumi.Input[str]


class Alarms(Tier):
    """`topic_arn` is where alarms are told."""

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        topic = self._topic(args)
        self.topic_arn = topic.arn
        for watch in _watches(args):
            self._alarm(watch, args.site)
        if args.site.settings.database.kind in _EVENTS:
            self._events(args)
        self.register_outputs({"topic_arn": self.topic_arn})

    def _topic(self, args: AlarmsArgs) -> aws.sns.Topic:
        site = args.site
        arn = site.arn("sns", site.name("alarms"))
        tellers = ("cloudwatch.amazonaws.com", "events.rds.amazonaws.com")
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": list(tellers)},
            "Action": ["sns:Publish"],
            "Resource": [arn],
            # Without it another account's alarm could speak through the service.
            "Condition": {"StringEquals": {"aws:SourceAccount": site.account}},
        }
        topic = aws.sns.Topic(
            "alarms",
            name=site.name("alarms"),
            display_name=f"simplicity {site.settings.environment}",
            kms_master_key_id=args.key,
            policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]}),
            tags=site.tags("alarms"),
            opts=self.child(),
        )
        # The address gets a mail with a link first: nothing comes before somebody followed it.
        aws.sns.TopicSubscription(
            "email", topic=topic.arn, protocol="email", endpoint=site.settings.monitoring.email, opts=self.child()
        )
        return topic

    def _alarm(self, watch: watches.Watch, site: Site) -> None:
        actions: list[pulumi.Input[str]] = [self.topic_arn, *([watch.action] if watch.action else [])]
        aws.cloudwatch.MetricAlarm(
            watch.part,
            name=site.name(watch.part),
            **watch.arguments(),
            alarm_actions=actions,
            ok_actions=[self.topic_arn],
            tags=site.tags(watch.part),
            opts=self.child(),
        )

    def _events(self, args: AlarmsArgs) -> None:
        site = args.site
        source, categories = _EVENTS[site.settings.database.kind]
        aws.rds.EventSubscription(
            "database-events",
            name=site.name("database-events"),
            sns_topic=self.topic_arn,
            source_type=source,
            source_ids=[args.database],
            event_categories=list(categories),
            tags=site.tags("database-events"),
            opts=self.child(),
        )


def _watches(args: AlarmsArgs) -> list[watches.Watch]:
    site = args.site
    return [
        *watches.balancer(args.balancer_suffix, args.target_group_suffixes),
        *watches.firewall(args.web_acl_metric, site.region),
        *watches.database(site.settings.database, args.database),
        *(watches.snapshots(site.name(snapshots.VAULT)) if site.settings.database.kind in _EVENTS else ()),
        *watches.account(),
        *watches.dead_man(args.monitoring, site.region),
    ]
