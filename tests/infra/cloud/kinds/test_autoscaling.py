from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING

import pulumi_aws as aws

from tests.infra.cloud.conftest import REGION
from tests.infra.cloud.kinds.ground import Ground, ground, whole_life

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.cloud.rehearsal.lab import Lab

import pytest

LABEL = "app/simplicity/0123456789abcdef/targetgroup/blue/0123456789abcdef"


@pytest.fixture
def targets(lab: Lab) -> Iterator[str]:
    on = ground(lab)
    reach = lab.reach(REGION)
    vpc = reach("ec2").describe_subnets(SubnetIds=[on.subnets[0]])["Subnets"][0]["VpcId"]
    made = reach("elbv2").create_target_group(Name="blue", Protocol="HTTPS", Port=8441, VpcId=vpc)
    arn = str(made["TargetGroups"][0]["TargetGroupArn"])
    yield arn
    lab.destroy()
    reach("elbv2").delete_target_group(TargetGroupArn=arn)


def program(on: Ground, targets: str, instance_type: str = "c7g.large", maximum: int = 4) -> None:
    template = aws.ec2.LaunchTemplate(
        "api",
        name="api",
        description="api hosts",
        image_id=on.image,
        instance_type=instance_type,
        iam_instance_profile={"name": on.profile},
        metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
        network_interfaces=[
            {
                "device_index": 0,
                "associate_public_ip_address": "false",
                "delete_on_termination": "true",
                "security_groups": [on.group],
            }
        ],
        block_device_mappings=[
            {
                "device_name": "/dev/xvda",
                "ebs": {"volume_type": "gp3", "volume_size": 30, "encrypted": "true", "kms_key_id": on.key},
            }
        ],
        ebs_optimized="true",
        user_data=base64.b64encode(b"#cloud-config\n").decode(),
        tag_specifications=[{"resource_type": each, "tags": {"a": "b"}} for each in ("volume", "network-interface")],
        update_default_version=True,
        tags={"Name": "api"},
    )
    group = aws.autoscaling.Group(
        "api",
        name="api",
        min_size=2,
        max_size=maximum,
        vpc_zone_identifiers=list(on.subnets),
        launch_template={"id": template.id, "version": template.latest_version.apply(str)},
        target_group_arns=[targets],
        health_check_type="ELB",
        health_check_grace_period=300,
        instance_refresh={"strategy": "Rolling", "preferences": {"min_healthy_percentage": 100}},
        warm_pool={"pool_state": "Stopped", "min_size": 1, "max_group_prepared_capacity": 3},
        enabled_metrics=[aws.autoscaling.Metric.GROUP_MIN_SIZE, aws.autoscaling.Metric.GROUP_MAX_SIZE],
        metrics_granularity="1Minute",
        wait_for_capacity_timeout="0",
        tags=[{"key": "role", "value": "api", "propagate_at_launch": True}],
    )
    aws.autoscaling.Policy(
        "requests",
        name="requests",
        autoscaling_group_name=group.name,
        policy_type="TargetTrackingScaling",
        estimated_instance_warmup=300,
        target_tracking_configuration={
            "predefined_metric_specification": {
                "predefined_metric_type": "ALBRequestCountPerTarget",
                "resource_label": LABEL,
            },
            "target_value": 24_000.0,
            "disable_scale_in": True,
        },
    )
    aws.autoscaling.Policy(
        "lag",
        name="lag",
        autoscaling_group_name=group.name,
        policy_type="StepScaling",
        adjustment_type="ChangeInCapacity",
        metric_aggregation_type="Maximum",
        estimated_instance_warmup=300,
        step_adjustments=[{"scaling_adjustment": 1, "metric_interval_lower_bound": "0"}],
    )


def test_what_somebody_adds_to_a_template_is_told_and_goes(lab: Lab, targets: str) -> None:
    wanted = partial(program, ground(lab), targets)
    lab.up(wanted)
    (template,) = (each for each in lab.state.managed() if each.type.endswith(":LaunchTemplate"))
    client = lab.reach(REGION)("ec2")
    data = client.describe_launch_template_versions(LaunchTemplateId=template.id, Versions=["$Latest"])
    fresh = data["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    fresh["NetworkInterfaces"][0]["Ipv6AddressCount"] = 1
    fresh["MetadataOptions"]["InstanceMetadataTags"] = "enabled"
    client.create_launch_template_version(
        LaunchTemplateId=template.id, LaunchTemplateData=fresh, VersionDescription="api hosts"
    )
    client.modify_launch_template(LaunchTemplateId=template.id, DefaultVersion="2")
    (found,) = lab.drifts()
    assert all(each in found.line for each in ("ipv6AddressCount", "instanceMetadataTags"))
    lab.refresh()
    steps = {step.name.rpartition(":")[2]: step.changed for step in lab.up(wanted)}
    assert steps["LaunchTemplate api"] == ("metadataOptions", "networkInterfaces")
    assert lab.drifts() == []
    assert lab.plan(wanted) == []


def test_a_group_its_template_and_its_policies_live_and_every_change_of_them_is_named(lab: Lab, targets: str) -> None:
    assert whole_life(lab, partial(program, ground(lab), targets)) == {
        *(
            f"LaunchTemplate.{name}"
            for name in (
                "blockDeviceMappings",
                "description",
                "ebsOptimized",
                "instanceType",
                "metadataOptions",
                "networkInterfaces",
                "tagSpecifications",
                "tags",
                "updateDefaultVersion",
                "userData",
            )
        ),
        *(
            f"Group.{name}"
            for name in (
                "enabledMetrics",
                "healthCheckGracePeriod",
                "healthCheckType",
                "launchTemplate",
                "maxSize",
                "minSize",
                "tags",
                "targetGroupArns",
                "vpcZoneIdentifiers",
                "warmPool",
            )
        ),
        *(
            f"Policy.{name}"
            for name in (
                "adjustmentType",
                "estimatedInstanceWarmup",
                "metricAggregationType",
                "stepAdjustments",
                "targetTrackingConfiguration",
            )
        ),
    }


def test_a_group_starts_its_hosts_and_ends_them_with_itself(lab: Lab, targets: str) -> None:
    lab.up(partial(program, ground(lab), targets))
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    ec2 = lab.reach(REGION)("ec2")
    hosts = [each for group in ec2.describe_instances(Filters=running)["Reservations"] for each in group["Instances"]]
    assert len(hosts) == 2
    assert all({"Key": "role", "Value": "api"} in each["Tags"] for each in hosts)
    lab.destroy()
    assert ec2.describe_instances(Filters=running)["Reservations"] == []


def test_another_template_is_a_new_version_that_the_group_takes(lab: Lab, targets: str) -> None:
    on = ground(lab)
    lab.up(partial(program, on, targets))
    steps = lab.up(partial(program, on, targets, instance_type="c7g.xlarge"))
    assert [(step.op, step.name, step.changed) for step in steps] == [
        ("update", "aws:ec2/launchTemplate:LaunchTemplate api", ("instanceType",)),
        ("update", "aws:autoscaling/group:Group api", ("launchTemplate",)),
    ]
    (group,) = lab.reach(REGION)("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert group["LaunchTemplate"]["Version"] == "2"
    assert lab.plan(partial(program, on, targets, instance_type="c7g.xlarge")) == []


def test_hosts_that_scaling_added_are_no_drift(lab: Lab, targets: str) -> None:
    made = partial(program, ground(lab), targets)
    lab.up(made)
    scaling = lab.reach(REGION)("autoscaling")
    scaling.set_desired_capacity(AutoScalingGroupName="api", DesiredCapacity=3)
    assert lab.drifts() == []
    lab.up(partial(made, maximum=5))
    assert scaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["DesiredCapacity"] == 3
