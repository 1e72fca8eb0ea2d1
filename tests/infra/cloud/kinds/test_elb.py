from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from pulumi_aws import ec2, lb, s3

from infra.cloud.rehearsal.steps import RehearsalError
from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    import pulumi

    from infra.cloud.rehearsal.lab import Lab

REGION = "us-east-1"
DOMAIN = "api.example.com"


def certificate(lab: Lab) -> str:
    return str(lab.reach(REGION)("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"])


def program(certificate: str, live: str = "blue", *, protect: bool = False) -> None:
    vpc = ec2.Vpc("net", cidr_block="10.20.0.0/16")
    subnets = [
        ec2.Subnet(f"s{zone}", vpc_id=vpc.id, cidr_block=f"10.20.{number}.0/24", availability_zone=f"{REGION}{zone}").id
        for number, zone in enumerate("abc")
    ]
    group = ec2.SecurityGroup("balancer", name="balancer", description="x", vpc_id=vpc.id, ingress=[], egress=[])
    bucket = s3.Bucket("logs", bucket="simplicity-test-elb-logs")
    balancer = lb.LoadBalancer(
        "api",
        name="test-api",
        load_balancer_type="application",
        internal=False,
        subnets=subnets,
        security_groups=[group.id],
        idle_timeout=60,
        drop_invalid_header_fields=True,
        desync_mitigation_mode="strictest",
        enable_waf_fail_open=False,
        enable_http2=True,
        enable_deletion_protection=protect,
        access_logs=lb.LoadBalancerAccessLogsArgs(bucket=bucket.bucket, enabled=True),
        tags={"Name": "api"},
    )
    groups = {colour: _group(colour, port, vpc.id) for colour, port in (("blue", 8441), ("green", 8442))}
    shares = [
        lb.ListenerDefaultActionForwardTargetGroupArgs(arn=each.arn, weight=100 if colour == live else 0)
        for colour, each in groups.items()
    ]
    lb.Listener(
        "https",
        load_balancer_arn=balancer.arn,
        port=443,
        protocol="HTTPS",
        ssl_policy="ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
        certificate_arn=certificate,
        default_actions=[
            lb.ListenerDefaultActionArgs(
                type="forward", forward=lb.ListenerDefaultActionForwardArgs(target_groups=shares)
            )
        ],
        tags={"Name": "https"},
    )
    redirect = lb.ListenerDefaultActionRedirectArgs(protocol="HTTPS", port="443", status_code="HTTP_301")
    lb.Listener(
        "http",
        load_balancer_arn=balancer.arn,
        port=80,
        protocol="HTTP",
        default_actions=[lb.ListenerDefaultActionArgs(type="redirect", redirect=redirect)],
    )


def _group(colour: str, port: int, vpc: pulumi.Input[str]) -> lb.TargetGroup:
    return lb.TargetGroup(
        colour,
        name=f"test-{colour}",
        vpc_id=vpc,
        target_type="instance",
        protocol="HTTPS",
        port=port,
        deregistration_delay=30,
        load_balancing_algorithm_type="least_outstanding_requests",
        health_check=lb.TargetGroupHealthCheckArgs(
            enabled=True,
            protocol="HTTPS",
            port="traffic-port",
            path="/health/ready",
            matcher="200",
            interval=10,
            timeout=5,
            healthy_threshold=2,
            unhealthy_threshold=3,
        ),
        tags={"Name": colour},
    )


def test_a_load_balancer_lives_and_every_change_of_it_is_named(lab: Lab) -> None:
    changed = whole_life(lab, partial(program, certificate(lab)))
    assert {each for each in changed if each.startswith(("LoadBalancer", "TargetGroup", "Listener"))} == {
        "LoadBalancer.accessLogs",
        "LoadBalancer.desyncMitigationMode",
        "LoadBalancer.dropInvalidHeaderFields",
        "LoadBalancer.enableDeletionProtection",
        "LoadBalancer.enableHttp2",
        "LoadBalancer.enableWafFailOpen",
        "LoadBalancer.idleTimeout",
        "LoadBalancer.subnets",
        "LoadBalancer.tags",
        "TargetGroup.deregistrationDelay",
        "TargetGroup.healthCheck",
        "TargetGroup.loadBalancingAlgorithmType",
        "TargetGroup.tags",
        "Listener.defaultActions",
        "Listener.port",
        "Listener.sslPolicy",
        "Listener.tags",
    }


def test_what_somebody_adds_to_what_a_listener_does_is_told_and_goes(lab: Lab) -> None:
    wanted = partial(program, certificate(lab))
    lab.up(wanted)
    client = lab.reach(REGION)("elbv2")
    found = {each.name: each for each in lab.state.managed() if each.type.endswith(":Listener")}

    def act(name: str, **changes: object) -> None:
        (action,) = client.describe_listeners(ListenerArns=[found[name].id])["Listeners"][0]["DefaultActions"]
        fresh = {**{part: value for part, value in action.items() if part != "TargetGroupArn"}, **changes}
        client.modify_listener(ListenerArn=found[name].id, DefaultActions=[fresh])

    groups = client.describe_listeners(ListenerArns=[found["https"].id])["Listeners"][0]["DefaultActions"][0]
    sticky = {"Enabled": True, "DurationSeconds": 60}
    act("https", ForwardConfig={**groups["ForwardConfig"], "TargetGroupStickinessConfig": sticky})
    redirect = {"Protocol": "HTTPS", "Port": "443", "Path": "/elsewhere", "StatusCode": "HTTP_301"}
    act("http", RedirectConfig=redirect)
    lines = sorted(each.line for each in lab.drifts())
    assert ["'/elsewhere'" in lines[0], "'stickiness'" in lines[1]] == [True, True]
    lab.refresh()
    assert [step.changed for step in lab.up(wanted)] == [("defaultActions",)] * 2
    assert lab.drifts() == []
    assert lab.plan(wanted) == []


def test_a_listener_that_somebody_made_to_answer_by_itself_is_told_and_goes_back(lab: Lab) -> None:
    wanted = partial(program, certificate(lab))
    lab.up(wanted)
    (http,) = (each for each in lab.state.managed() if each.type.endswith(":Listener") and each.name == "http")
    answer = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain"}}
    lab.reach(REGION)("elbv2").modify_listener(ListenerArn=http.id, DefaultActions=[answer])
    (found,) = lab.drifts()
    assert "'fixed-response'" in found.line
    lab.refresh()
    assert [step.changed for step in lab.up(wanted)] == [("defaultActions",)]
    assert lab.drifts() == []


def test_the_other_colour_goes_live_by_its_share_alone(lab: Lab) -> None:
    arn = certificate(lab)
    lab.up(partial(program, arn))
    steps = lab.up(partial(program, arn, "green"))
    assert [(step.op, step.name, step.changed) for step in steps] == [
        ("update", "aws:lb/listener:Listener https", ("defaultActions",))
    ]
    assert lab.drifts() == []


def test_a_protected_load_balancer_refuses_to_be_deleted(lab: Lab) -> None:
    arn = certificate(lab)
    lab.up(partial(program, arn, protect=True))
    (balancer,) = (each for each in lab.state.managed() if each.type.endswith(":LoadBalancer"))
    with pytest.raises(RehearsalError, match=r"LoadBalancer api: .*deletion protection"):
        lab.provider.delete(balancer)
    assert lab.provider.read(balancer) is not None
    lab.up(partial(program, arn))
