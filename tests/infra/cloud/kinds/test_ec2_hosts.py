from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pulumi_aws as aws

from tests.infra.cloud.conftest import REGION
from tests.infra.cloud.kinds.ground import Ground, ground, whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab


def program(on: Ground, user_data: str = "#cloud-config\n", size: int = 20) -> None:
    host = aws.ec2.Instance(
        "node",
        ami=on.image,
        instance_type="m7g.large",
        subnet_id=on.subnets[0],
        vpc_security_group_ids=[on.group],
        iam_instance_profile=on.profile,
        associate_public_ip_address=False,
        metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
        root_block_device={
            "volume_type": "gp3",
            "volume_size": 20,
            "encrypted": True,
            "kms_key_id": on.key,
            "delete_on_termination": True,
            "tags": {"Name": "root"},
        },
        user_data=user_data,
        ebs_optimized=True,
        disable_api_termination=False,
        tags={"Name": "node"},
    )
    volume = aws.ebs.Volume(
        "data",
        availability_zone=f"{REGION}a",
        size=size,
        type="gp3",
        encrypted=True,
        kms_key_id=on.key,
        tags={"Name": "data"},
    )
    aws.ec2.VolumeAttachment(
        "data", device_name="/dev/sdf", volume_id=volume.id, instance_id=host.id, stop_instance_before_detaching=True
    )


def test_a_host_and_its_volume_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    assert whole_life(lab, partial(program, ground(lab))) >= {
        "Instance.instanceType",
        "Instance.metadataOptions",
        "Instance.rootBlockDevice",
        "Instance.userData",
        "Instance.disableApiTermination",
        "Instance.tags",
        "Volume.type",
        "Volume.tags",
    }


def test_a_host_leaves_no_volume_and_no_instance_behind(lab: Lab) -> None:
    ec2 = lab.reach(REGION)("ec2")
    # Those of others' hosts, which the emulator keeps.
    before = ec2.describe_volumes()["Volumes"]
    lab.up(partial(program, ground(lab)))
    lab.destroy()
    running = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    assert ec2.describe_instances(Filters=running)["Reservations"] == []
    assert ec2.describe_volumes()["Volumes"] == before


def test_a_host_that_somebody_ended_is_gone_and_made_anew_with_its_volume(lab: Lab) -> None:
    made = partial(program, ground(lab))
    lab.up(made)
    ec2 = lab.reach(REGION)("ec2")
    (host,) = [each.id for each in lab.state.managed() if each.type.endswith(":Instance")]
    (volume,) = [each.id for each in lab.state.managed() if each.type.endswith(":Volume")]
    ec2.terminate_instances(InstanceIds=[host])
    assert [each.line for each in lab.drifts()] == [
        "aws:ec2/instance:Instance node is gone",
        "aws:ec2/volumeAttachment:VolumeAttachment data is gone",
    ]
    lab.refresh()
    assert [step.op for step in lab.up(made)] == ["create", "create"]
    (found,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert found["Attachments"][0]["InstanceId"] != host


def test_a_larger_volume_is_changed_in_place_and_another_subnet_replaces_the_host(lab: Lab) -> None:
    on = ground(lab)
    lab.up(partial(program, on))
    assert [(step.op, step.changed) for step in lab.plan(partial(program, on, size=40))] == [("update", ("size",))]
    moved = replace(on, subnets=on.subnets[1:])
    assert ("replace", ("subnetId",)) in [(step.op, step.changed) for step in lab.plan(partial(program, moved))]
