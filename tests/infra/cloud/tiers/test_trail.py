from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cloud import program
from infra.cloud.tiers.keys import Keys, KeysArgs
from infra.cloud.tiers.trail import Trail, TrailArgs
from tests.infra.cloud.recording import recorded
from tests.infra.cloud.tiers.documents import of, statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

KEY, TOPIC = "arn:aws:kms:us-east-1:123456789012:key/logs", "arn:aws:sns:us-east-1:123456789012:alarms"
ARN = "arn:aws:cloudtrail:us-east-1:123456789012:trail/simplicity-test-trail"
TRAIL = "cloudtrail/trail:Trail"


@pytest.fixture
def site(at: Places) -> Site:
    return at(trail={"kind": "account"})


def made(planned: Planned, site: Site) -> list[Registered]:
    return planned(lambda: (Trail("trail", TrailArgs(site=site, key=KEY, topic=TOPIC)), None)[1])


def test_a_stack_makes_a_trail_only_where_it_is_told_to(at: Places) -> None:
    assert not of(recorded(lambda: program.build(at().settings)), TRAIL)
    assert len(of(recorded(lambda: program.build(at(trail={"kind": "account"}).settings)), TRAIL)) == 1


def test_it_tells_of_all_regions_is_signed_and_is_encrypted(planned: Planned, site: Site) -> None:
    (trail,) = of(made(planned, site), TRAIL).values()
    for each in ("isMultiRegionTrail", "includeGlobalServiceEvents", "enableLogFileValidation", "enableLogging"):
        assert trail.inputs[each] is True
    assert trail.inputs["kmsKeyId"] == KEY
    assert trail.protect


def test_only_this_trail_writes_to_its_bucket_which_is_closed(planned: Planned, site: Site) -> None:
    found = made(planned, site)
    (policy,) = of(found, "s3/bucketPolicy:BucketPolicy").values()
    let_in = [each for each in statements(policy.inputs["policy"]) if each["Effect"] == "Allow"]
    assert [each["Action"] for each in let_in] == [["s3:GetBucketAcl"], ["s3:PutObject"]]
    for each in let_in:
        assert each["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
        assert each["Condition"]["StringEquals"]["aws:SourceArn"] == ARN
    (block,) = of(found, "s3/bucketPublicAccessBlock:BucketPublicAccessBlock").values()
    assert all(block.inputs[each] for each in ("blockPublicAcls", "blockPublicPolicy", "restrictPublicBuckets"))
    assert len(of(found, "s3/bucketVersioning:BucketVersioning")) == 1


def test_entries_go_when_the_settings_say(planned: Planned, at: Places) -> None:
    found = made(planned, at(trail={"kind": "account", "days": 400}))
    (rules,) = of(found, "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").values()
    assert rules.inputs["rules"][0]["expiration"]["days"] == 400


def test_cloudtrail_may_use_the_key_for_this_trail_alone_and_only_where_there_is_one(
    planned: Planned, at: Places, site: Site
) -> None:
    def of_logs(where: Site) -> list[dict[str, object]]:
        keys = of(planned(lambda: (Keys("keys", KeysArgs(site=where)), None)[1]), "kms/key:Key")
        return [each for each in statements(keys["logs"].inputs["policy"]) if each["Sid"] == "Trail"]

    (use,) = of_logs(site)
    assert use["Condition"] == {"StringEquals": {"aws:SourceArn": ARN}}
    assert of_logs(at()) == []


def test_its_role_writes_its_own_log_and_is_taken_on_for_this_account_alone(planned: Planned, site: Site) -> None:
    found = made(planned, site)
    (trust,) = statements(of(found, "iam/role:Role")["trail"].inputs["assumeRolePolicy"])
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    (writes,) = statements(of(found, "iam/rolePolicy:RolePolicy")["trail"].inputs["policy"])
    assert writes["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert all(each.split("log-group:")[1].startswith("/simplicity/test/trail:") for each in writes["Resource"])


def test_whoever_is_told_of_alarms_is_told_within_minutes_that_root_is_at_work(planned: Planned, site: Site) -> None:
    found = made(planned, site)
    (counted,) = of(found, "cloudwatch/logMetricFilter:LogMetricFilter").values()
    (alarm,) = of(found, "cloudwatch/metricAlarm:MetricAlarm").values()
    assert '$.userIdentity.type = "Root"' in counted.inputs["pattern"]
    metric = counted.inputs["metricTransformation"]
    assert (metric["namespace"], metric["name"]) == (alarm.inputs["namespace"], alarm.inputs["metricName"])
    assert (alarm.inputs["comparisonOperator"], alarm.inputs["threshold"]) == ("GreaterThanThreshold", 0)
    assert (alarm.inputs["period"], alarm.inputs["evaluationPeriods"]) == (300, 1)
    assert alarm.inputs["alarmActions"] == [TOPIC]
