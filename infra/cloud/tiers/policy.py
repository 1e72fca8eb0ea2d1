"""What roles may do, as IAM's documents say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Statement = dict[str, Any]


def allow(
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    condition: Mapping[str, Mapping[str, pulumi.Input[str]]] | None = None,
) -> Statement:
    """Return a statement that allows actions on resources, under a condition."""
    made: Statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**made, "Condition": condition} if condition else made


def document(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """Return a policy's document."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str, account: str | None = None) -> pulumi.Output[str]:
    """Return the document that lets a service of AWS's take on a role.

    With `account` only on behalf of that one: else another account could make the service use our role. Not every
    service says for whom it asks; EC2 does not.
    """
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": ["sts:AssumeRole"]}
    only = {"Condition": {"StringEquals": {"aws:SourceAccount": account}}} if account else {}
    return document([{**statement, **only}])
