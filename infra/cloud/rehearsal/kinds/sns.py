"""Who is told: topics and their subscriptions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, pairs, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

# A filter that lets everything through: AWS takes none back otherwise.
_ALL = "{}"
_ATTRIBUTES = {"displayName": "DisplayName", "kmsMasterKeyId": "KmsMasterKeyId", "policy": "Policy"}


def _create_topic(aws: Aws, wanted: Props) -> str:
    attributes = given(wanted, **{argument: name for name, argument in _ATTRIBUTES.items()})
    answer = aws("sns").create_topic(Name=wanted["name"], Attributes=attributes, Tags=pairs(wanted.get("tags")))
    return str(answer["TopicArn"])


def _topic_tags(aws: Aws, made: str) -> dict[str, str]:
    return mapping(aws("sns").list_tags_for_resource(ResourceArn=made)["Tags"])


def _read_topic(aws: Aws, made: str, _: Props) -> Props | None:
    there = aws("sns").get_topic_attributes(TopicArn=made)["Attributes"]
    return {
        "arn": made,
        "name": made.rsplit(":", 1)[-1],
        "tags": _topic_tags(aws, made),
        **found(there, **_ATTRIBUTES),
    }


def _change_topic(aws: Aws, made: str, wanted: Props) -> None:
    for name, attribute in _ATTRIBUTES.items():
        if wanted.get(name) is not None:
            aws("sns").set_topic_attributes(TopicArn=made, AttributeName=attribute, AttributeValue=wanted[name])


def _other_policy(value: str) -> str:
    """Return a policy with one publisher less."""
    document = json.loads(value)
    first, *others = document["Statement"]
    first = {**first, "Principal": {"Service": first["Principal"]["Service"][:1]}}
    return json.dumps({**document, "Statement": [first, *others]})


def _subscribe(aws: Aws, wanted: Props) -> str:
    where = given(wanted, TopicArn="topic", Protocol="protocol", Endpoint="endpoint")
    if wanted.get("filterPolicy"):
        where["Attributes"] = {"FilterPolicy": wanted["filterPolicy"]}
    # The real ARN, where the plain call says that a mail's link is still to be followed.
    return str(aws("sns").subscribe(**where, ReturnSubscriptionArn=True)["SubscriptionArn"])


def _read_subscription(aws: Aws, made: str, _: Props) -> Props | None:
    there = aws("sns").get_subscription_attributes(SubscriptionArn=made)["Attributes"]
    chosen = there.get("FilterPolicy", _ALL)
    return {
        "arn": made,
        "filterPolicy": "" if chosen == _ALL else chosen,
        **found(there, topic="TopicArn", protocol="Protocol", endpoint="Endpoint"),
    }


def _choose(aws: Aws, made: str, wanted: Props) -> None:
    chosen = wanted.get("filterPolicy") or _ALL
    aws("sns").set_subscription_attributes(SubscriptionArn=made, AttributeName="FilterPolicy", AttributeValue=chosen)


KINDS = (
    Kind(
        type="aws:sns/topic:Topic",
        create=_create_topic,
        read=_read_topic,
        delete=lambda aws, made, _: aws("sns").delete_topic(TopicArn=made),
        updates={
            **updates(_change_topic, *_ATTRIBUTES),
            "tags": retag(
                _topic_tags,
                lambda aws, made, tags: aws("sns").tag_resource(ResourceArn=made, Tags=tags),
                lambda aws, made, names: aws("sns").untag_resource(ResourceArn=made, TagKeys=names),
            ),
        },
        fixed=frozenset({"name"}),
        drifts={
            "displayName": lambda value: f"{value} and more",
            "kmsMasterKeyId": lambda _: "alias/aws/sns",
            "policy": _other_policy,
        },
    ),
    Kind(
        type="aws:sns/topicSubscription:TopicSubscription",
        create=_subscribe,
        read=_read_subscription,
        delete=lambda aws, made, _: aws("sns").unsubscribe(SubscriptionArn=made),
        updates={"filterPolicy": _choose},
        fixed=frozenset({"topic", "protocol", "endpoint"}),
        # Whoever adds one silences what it leaves out.
        drifts={"filterPolicy": lambda _: '{"severity": ["none"]}'},
        defaults={"filterPolicy": ""},
    ),
)
