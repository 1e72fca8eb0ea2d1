"""The account's trail: who called what of AWS' own interface, kept, and told at once where it was the root user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.cloud.site import Site, Tier
from infra.cloud.tiers import buckets, watches
from infra.cloud.tiers.access import METRICS_NAMESPACE
from infra.cloud.tiers.policy import Statement, allow, document, trust

PART, LOG_DAYS = "trail", 90
ROOT_METRIC = "RootUse"
# A person or a key of root's: not a service that acts for it. Source: CIS AWS Foundations Benchmark, monitoring.
ROOT = '{ $.userIdentity.type = "Root" && $.userIdentity.invokedBy NOT EXISTS && $.eventType != "AwsServiceEvent" }'
_SERVICE = "cloudtrail.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class TrailArgs:
    """`key` (an ARN) has to let CloudTrail and CloudWatch use it; `topic` is the ARN of where alarms are told."""

    site: Site
    key: pulumi.Input[str]
    topic: pulumi.Input[str]


class Trail(Tier):
    """A trail over all regions, in a closed bucket and in a log that root's calls are counted of; `arn` is its own."""

    def __init__(self, name: str, args: TrailArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site = args.site
        bucket = buckets.of_logs(self, PART, site, _write(site), site.settings.trail.days, look=_look(site))
        logs = aws.cloudwatch.LogGroup(
            PART,
            name=_group(site),
            retention_in_days=LOG_DAYS,
            kms_key_id=args.key,
            tags=site.tags(PART),
            opts=self.child(),
        )
        self.arn = self._trail(args, bucket, logs).arn
        self._root(args, logs)
        self.register_outputs({"arn": self.arn})

    def _trail(
        self, args: TrailArgs, bucket: aws.s3.BucketPolicy, logs: aws.cloudwatch.LogGroup
    ) -> aws.cloudtrail.Trail:
        site = args.site
        role, may = self._role(site)
        return aws.cloudtrail.Trail(
            PART,
            name=site.name(PART),
            s3_bucket_name=bucket.bucket,
            enable_logging=True,
            # What somebody does in a region that nobody looks at is told as well, and what has no region at all.
            is_multi_region_trail=True,
            include_global_service_events=True,
            # Signed each hour: an entry that was changed or taken out shows.
            enable_log_file_validation=True,
            kms_key_id=args.key,
            cloud_watch_logs_group_arn=pulumi.Output.concat(logs.arn, ":*"),
            cloud_watch_logs_role_arn=role.arn,
            tags=site.tags(PART),
            # AWS tries at once whether it can write to both.
            opts=self.child(protect=site.settings.database.protect, depends_on=[bucket, may]),
        )

    def _role(self, site: Site) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        role = aws.iam.Role(
            PART,
            name=site.name(PART),
            description="CloudTrail writes the trail's log",
            assume_role_policy=trust(_SERVICE, site.account),
            permissions_boundary=site.boundary,
            tags=site.tags(PART),
            opts=self.child(),
        )
        stream = site.arn("logs", f"log-group:{_group(site)}:log-stream:{site.account}_CloudTrail_{site.region}*")
        writes = allow(["logs:CreateLogStream", "logs:PutLogEvents"], [stream])
        may = aws.iam.RolePolicy(
            PART, name=site.name(PART), role=role.name, policy=document([writes]), opts=self.child()
        )
        return role, may

    def _root(self, args: TrailArgs, logs: aws.cloudwatch.LogGroup) -> None:
        site = args.site
        metric = aws.cloudwatch.LogMetricFilter(
            "root",
            name=site.name("root"),
            log_group_name=logs.name,
            pattern=ROOT,
            metric_transformation={"name": ROOT_METRIC, "namespace": METRICS_NAMESPACE, "value": "1"},
            opts=self.child(),
        )
        watch = watches.Watch(
            part="root",
            says="The account's root user is at work, whom no policy holds: ask who it was, and take it back if nobody",
            namespace=METRICS_NAMESPACE,
            metric=ROOT_METRIC,
            statistic="Sum",
            limit=0,
            period=300,
        )
        aws.cloudwatch.MetricAlarm(
            watch.part,
            name=site.name(watch.part),
            **watch.arguments(),
            alarm_actions=[args.topic],
            tags=site.tags(watch.part),
            opts=self.child(depends_on=[metric]),
        )


def _group(site: Site) -> str:
    return f"/simplicity/{site.settings.environment}/{PART}"


def _only(site: Site) -> dict[str, str]:
    """Say for which trail: else another account's could be written to our bucket."""
    return {"aws:SourceArn": site.arn("cloudtrail", f"trail/{site.name(PART)}")}


def _look(site: Site) -> Statement:
    return {
        "Sid": "Look",
        "Effect": "Allow",
        "Principal": {"Service": _SERVICE},
        "Action": ["s3:GetBucketAcl"],
        "Resource": [buckets.arn(site, PART)],
        "Condition": {"StringEquals": _only(site)},
    }


def _write(site: Site) -> Statement:
    own: dict[str, Any] = {"s3:x-amz-acl": "bucket-owner-full-control", **_only(site)}
    return {
        "Sid": "Write",
        "Effect": "Allow",
        "Principal": {"Service": _SERVICE},
        "Action": ["s3:PutObject"],
        "Resource": [f"{buckets.arn(site, PART)}/AWSLogs/{site.account}/*"],
        "Condition": {"StringEquals": own},
    }
