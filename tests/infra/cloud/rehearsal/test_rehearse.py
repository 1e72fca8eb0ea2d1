"""What a rehearsal looks at, and that each line of it can fail."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws
import pytest
from botocore.exceptions import (  # type: ignore[import-untyped]  # botocore ships no types
    ClientError,
    EndpointConnectionError,
)

from infra.cloud.rehearsal import drill
from infra.cloud.rehearsal.emulator import EmulatorError
from infra.cloud.rehearsal.kinds import KINDS
from infra.cloud.rehearsal.rehearse import Rehearsal, limits, tagged
from infra.cloud.rehearsal.steps import RehearsalError

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab
    from infra.cloud.rehearsal.report import Line
    from infra.cloud.settings import Settings

GROUP = "aws:ec2/securityGroup:SecurityGroup"


def program() -> None:
    tags = {"project": "simplicity", "environment": "test"}
    vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", tags=tags)
    aws.ec2.SecurityGroup("hosts", name="hosts", description="d", vpc_id=vpc.id, ingress=[], egress=[], tags=tags)
    aws.rds.ParameterGroup(
        "postgres",
        name="postgres",
        family="postgres17",
        description="d",
        parameters=[{"name": "log_min_duration_statement", "value": "500", "apply_method": "immediate"}],
        tags=tags,
    )
    for name in ("cpu", "other"):
        aws.cloudwatch.MetricAlarm(
            name,
            name=name,
            comparison_operator="GreaterThanThreshold",
            evaluation_periods=1,
            metric_name="CPUUtilization",
            namespace="AWS/EC2",
            period=60,
            statistic="Average",
            threshold=90,
            # Not the stack's own: some metrics are told in one region alone.
            region="us-west-2",
            tags=tags,
        )


@pytest.fixture
def rehearsal(lab: Lab, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    monkeypatch.setattr("infra.cloud.rehearsal.rehearse.build", lambda _: program())
    monkeypatch.setattr("infra.cloud.rehearsal.rehearse.CHANGES", ())
    monkeypatch.setattr("infra.cloud.rehearsal.rehearse.stack_faults", lambda _: [])
    return Rehearsal(lab, settings, 7, lambda _: None)


def lines(rehearsal: Rehearsal) -> dict[str, Line]:
    return {each.what: each for each in rehearsal.run().lines}


def test_every_drill_opens_a_security_group_changes_parameters_and_deletes_an_alarm(lab: Lab) -> None:
    lab.up(program)
    for seed in (1, 2, 3):
        done = {f"{urn.rpartition('::')[2]}.{name}" for urn, name in drill.injected(lab, random.Random(seed))}
        assert {"hosts.ingress", "postgres.parameters"} <= done
        assert done & {"cpu.", "other."}
        assert drill.told(drill.named(lab.drifts())).count(";") + 1 == len(done)
        lab.refresh()
        lab.up(program)
        assert lab.drifts() == []


def test_the_lines_of_the_drill_hold_and_name_what_they_looked_at(rehearsal: Rehearsal) -> None:
    found = lines(rehearsal)
    zero = (
        "drifts before any",
        "drifts that nobody injected",
        "drifts left after up",
        "values not as before the drifts",
        "left after destroy",
    )
    assert {what: found[what].figure for what in zero} == dict.fromkeys(zero, "0")
    assert found["drifts named"].figure == found["drifts injected"].figure
    assert int(found["things with the stack's tags before destroy"].figure) > 0


def test_a_drift_that_a_plan_takes_for_no_difference_is_seen_by_its_value(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.cloud.rehearsal.provider.changed", lambda *_: ())
    report = rehearsal.run()
    found = {each.what: each for each in report.lines}
    assert found["drifts left after up"].holds
    assert "hosts.ingress" in found["values not as before the drifts"].figure
    assert not report.holds


def test_a_drift_that_was_there_before_is_told_as_such(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    def changing(aws_: Any, made: str, known: dict[str, Any]) -> Any:  # noqa: ANN401 - the table's own types
        read = KINDS[GROUP].read(aws_, made, known)
        return None if read is None else {**read, "egress": [{"protocol": str(random.Random().random())}]}

    kinds = {**KINDS, GROUP: replace(KINDS[GROUP], read=changing)}
    monkeypatch.setattr("infra.cloud.rehearsal.provider.KINDS", kinds)
    found = lines(rehearsal)
    assert (found["drifts before any"].figure, found["drifts before any"].holds) == ("hosts.egress", False)


def test_a_drift_that_nobody_injected_is_told(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    def secretly(lab: Lab, seed: random.Random) -> set[tuple[str, str]]:
        return {(urn, name) for urn, name in injected(lab, seed) if name != "ingress"}

    injected = drill.injected
    monkeypatch.setattr(drill, "injected", secretly)
    line = lines(rehearsal)["drifts that nobody injected"]
    assert (line.figure, line.holds) == ("hosts.ingress", False)


@pytest.mark.parametrize(
    "error",
    [
        RehearsalError("a step"),
        ClientError({"Error": {"Code": "Throttling", "Message": "a step"}}, "Any"),
        EndpointConnectionError(endpoint_url="a step"),
        EmulatorError("a step"),
        pulumi.RunError("a step"),
    ],
)
def test_whatever_breaks_it_off_is_a_line_that_does_not_hold(
    rehearsal: Rehearsal, lab: Lab, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(_: object) -> None:
        raise error

    monkeypatch.setattr(lab, "plan", broken)
    report = rehearsal.run()
    assert (report.lines[-1].what, report.lines[-1].holds, "a step" in report.lines[-1].figure) == (
        "broke off",
        False,
        True,
    )
    assert report.limits


def test_what_no_drill_can_change_is_told_among_the_limits(lab: Lab) -> None:
    def unchangeable() -> None:
        vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", tags={"a": "b"})
        aws.ec2.InternetGateway("way", vpc_id=vpc.id, tags={"a": "b"})
        subnet = aws.ec2.Subnet("sub", vpc_id=vpc.id, cidr_block="10.0.0.0/24")
        table = aws.ec2.RouteTable("table", vpc_id=vpc.id, routes=[])
        aws.ec2.RouteTableAssociation("at", subnet_id=subnet.id, route_table_id=table.id)

    lab.up(unchangeable)
    told = limits(lab)
    assert "not drifted: aws:ec2/internetGateway:InternetGateway: vpcId" in told
    assert "not drifted: aws:ec2/routeTableAssociation:RouteTableAssociation: all of it" in told
    assert not [each for each in told if "Vpc:" in each]


def test_what_bears_the_tags_is_found_as_long_as_it_is_there(lab: Lab) -> None:
    lab.up(program)
    there = lab.state.managed()
    assert tagged(lab, there)
    lab.destroy()
    assert tagged(lab, there) == []
