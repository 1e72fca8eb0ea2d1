from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from tests.infra.cloud.kinds.ground import ground, whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab


def program(key: str) -> None:
    bucket = aws.s3.Bucket("trail", bucket="simplicity-test-trail")
    logs = aws.cloudwatch.LogGroup("trail", name="/simplicity/test/trail")
    aws.cloudtrail.Trail(
        "trail",
        name="simplicity-test-trail",
        s3_bucket_name=bucket.bucket,
        is_multi_region_trail=True,
        include_global_service_events=True,
        enable_log_file_validation=True,
        enable_logging=True,
        kms_key_id=key,
        cloud_watch_logs_group_arn=pulumi.Output.concat(logs.arn, ":*"),
        cloud_watch_logs_role_arn="arn:aws:iam::123456789012:role/trail",
        tags={"Name": "trail"},
    )
    aws.cloudwatch.LogMetricFilter(
        "root",
        name="root",
        log_group_name=logs.name,
        pattern='{ $.userIdentity.type = "Root" }',
        metric_transformation={"name": "RootUse", "namespace": "Simplicity", "value": "1"},
    )


def test_a_trail_and_what_is_counted_of_it_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    found = whole_life(lab, partial(program, ground(lab).key))
    assert {each for each in found if each.startswith(("Trail.", "LogMetricFilter."))} == {
        *(f"Trail.{each}" for each in ("cloudWatchLogsGroupArn", "cloudWatchLogsRoleArn", "enableLogFileValidation")),
        *(f"Trail.{each}" for each in ("enableLogging", "includeGlobalServiceEvents", "isMultiRegionTrail")),
        *(f"Trail.{each}" for each in ("kmsKeyId", "s3BucketName", "tags")),
        *(f"LogMetricFilter.{each}" for each in ("metricTransformation", "pattern")),
    }


def test_a_trail_that_somebody_stopped_is_told_and_started_again(lab: Lab) -> None:
    made = partial(program, ground(lab).key)
    lab.up(made)
    trail = lab.reach("us-east-1")("cloudtrail")
    trail.stop_logging(Name="simplicity-test-trail")
    (found,) = lab.drifts()
    assert "enableLogging was True, is False" in found.line
    lab.refresh()
    lab.up(made)
    assert trail.get_trail_status(Name="simplicity-test-trail")["IsLogging"] is True
