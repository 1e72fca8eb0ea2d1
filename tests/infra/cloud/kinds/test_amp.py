from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from tests.infra.cloud.conftest import REGION
from tests.infra.cloud.kinds.ground import ground, whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab


def program(key: str) -> None:
    logs = aws.cloudwatch.LogGroup("prometheus", name="/aws/vendedlogs/prometheus/simplicity-test")
    aws.amp.Workspace(
        "prometheus",
        alias="prometheus",
        kms_key_arn=key,
        logging_configuration={"log_group_arn": pulumi.Output.concat(logs.arn, ":*")},
        tags={"Name": "prometheus"},
    )


def test_a_workspace_lives_and_every_change_of_it_is_named(lab: Lab) -> None:
    found = whole_life(lab, partial(program, ground(lab).key))
    expected = {"Workspace.alias", "Workspace.loggingConfiguration", "Workspace.tags"}
    assert {each for each in found if each.startswith("Workspace.")} == expected


def test_a_workspace_says_where_prometheus_writes_to(lab: Lab) -> None:
    lab.up(partial(program, ground(lab).key))
    (there,) = [each for each in lab.state.managed() if each.type.endswith(":Workspace")]
    assert there.outputs["prometheusEndpoint"].startswith(f"https://aps-workspaces.{REGION}.amazonaws.com/workspaces/")
