from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pulumi_aws as aws

from tests.infra.cloud.conftest import ACCOUNT, REGION
from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab

_STATEMENT = {
    "Effect": "Allow",
    "Principal": {"Service": ["cloudwatch.amazonaws.com", "events.rds.amazonaws.com"]},
    "Action": ["sns:Publish"],
    "Resource": [f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"],
}


def program() -> None:
    topic = aws.sns.Topic(
        "alarms",
        name="alarms",
        display_name="simplicity",
        kms_master_key_id="alias/simplicity",
        policy=json.dumps({"Version": "2012-10-17", "Statement": [_STATEMENT]}),
        tags={"Name": "alarms"},
    )
    aws.sns.TopicSubscription("email", topic=topic.arn, protocol="email", endpoint="oncall@example.com")


def test_a_topic_and_who_is_told_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    assert whole_life(lab, program) == {
        "Topic.displayName",
        "Topic.kmsMasterKeyId",
        "Topic.policy",
        "Topic.tags",
        "TopicSubscription.filterPolicy",
    }


def test_a_filter_that_silences_a_subscription_is_told_and_goes(lab: Lab) -> None:
    lab.up(program)
    sns = lab.reach(REGION)("sns")
    (there,) = sns.list_subscriptions()["Subscriptions"]
    sns.set_subscription_attributes(
        SubscriptionArn=there["SubscriptionArn"],
        AttributeName="FilterPolicy",
        AttributeValue=json.dumps({"severity": ["none"]}),
    )
    (found,) = lab.drifts()
    assert "severity" in found.line
    lab.refresh()
    assert [step.changed for step in lab.up(program)] == [("filterPolicy",)]
    assert lab.drifts() == []
    assert lab.plan(program) == []


def test_a_filter_of_the_programs_own_lives_and_a_change_of_it_is_named(lab: Lab) -> None:
    def chosen() -> None:
        topic = aws.sns.Topic("alarms", name="alarms")
        aws.sns.TopicSubscription(
            "email",
            topic=topic.arn,
            protocol="email",
            endpoint="oncall@example.com",
            filter_policy=json.dumps({"severity": ["page"]}),
        )

    assert "TopicSubscription.filterPolicy" in whole_life(lab, chosen)


def test_a_subscription_that_somebody_took_away_is_told(lab: Lab) -> None:
    lab.up(program)
    sns = lab.reach(REGION)("sns")
    (there,) = sns.list_subscriptions()["Subscriptions"]
    sns.unsubscribe(SubscriptionArn=there["SubscriptionArn"])
    assert [each.line for each in lab.drifts()] == ["aws:sns/topicSubscription:TopicSubscription email is gone"]
