"""Hosts: instances, volumes, and volumes at instances."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, pascal
from infra.cloud.rehearsal.kinds.vpc import RETAG, arn, specification

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_ENDED = {"shutting-down", "terminated"}
# Seconds between questions, and how many of them.
_PATIENCE = {"Delay": 1, "MaxAttempts": 600}
_DISK = ("volumeType", "volumeSize", "iops", "throughput")


# --- instances -------------------------------------------------------------------------------------------------------
def _create_instance(aws: Aws, wanted: Props) -> str:
    disk, subnet = dict(wanted.get("rootBlockDevice") or {}), wanted["subnetId"]
    specifications = specification("instance", wanted).get("TagSpecifications", [])
    specifications += specification("volume", disk).get("TagSpecifications", [])
    disk.pop("tags", None)
    (image,) = aws("ec2").describe_images(ImageIds=[wanted["ami"]])["Images"]
    answer = aws("ec2").run_instances(
        MinCount=1,
        MaxCount=1,
        ImageId=wanted["ami"],
        InstanceType=wanted["instanceType"],
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": subnet,
                "Groups": wanted["vpcSecurityGroupIds"],
                "AssociatePublicIpAddress": wanted["associatePublicIpAddress"],
            }
        ],
        IamInstanceProfile={"Name": wanted["iamInstanceProfile"]},
        MetadataOptions=pascal(wanted["metadataOptions"]),
        BlockDeviceMappings=[{"DeviceName": image["RootDeviceName"], "Ebs": pascal(disk)}],
        EbsOptimized=wanted["ebsOptimized"],
        DisableApiTermination=wanted["disableApiTermination"],
        TagSpecifications=specifications,
        **given(wanted, UserData="userData"),
    )
    made = str(answer["Instances"][0]["InstanceId"])
    with begun(made):
        # moto: takes neither protection nor its interface's groups when an instance starts
        _protect(aws, made, wanted)
        _change_groups(aws, made, wanted)
        _wait(aws, "instance_running", made)
    return made


def _wait(aws: Aws, state: str, made: str) -> None:
    where = {"VolumeIds": [made]} if state.startswith("volume") else {"InstanceIds": [made]}
    aws("ec2").get_waiter(state).wait(**where, WaiterConfig=_PATIENCE)


def _instance(aws: Aws, made: str) -> Props | None:
    answer = aws("ec2").describe_instances(InstanceIds=[made])
    there = [each for group in answer["Reservations"] for each in group["Instances"]]
    return there[0] if there and there[0]["State"]["Name"] not in _ENDED else None


def _read_instance(aws: Aws, made: str, _: Props) -> Props | None:
    there = _instance(aws, made)
    if there is None:
        return None
    profile = there.get("IamInstanceProfile", {}).get("Arn", "")
    return {
        "arn": arn(aws, "instance", made),
        "vpcSecurityGroupIds": sorted(each["GroupId"] for each in there["SecurityGroups"]),
        "iamInstanceProfile": profile.rsplit("/", 1)[-1] or None,
        "associatePublicIpAddress": bool(there.get("PublicIpAddress")),
        "metadataOptions": found(
            there["MetadataOptions"],
            httpEndpoint="HttpEndpoint",
            httpTokens="HttpTokens",
            httpPutResponseHopLimit="HttpPutResponseHopLimit",
        ),
        "rootBlockDevice": _read_root(aws, there),
        "userData": _read_user_data(aws, made),
        "disableApiTermination": _attribute(aws, made, "disableApiTermination"),
        "availabilityZone": there["Placement"]["AvailabilityZone"],
        "tags": mapping(there.get("Tags")),
        **found(
            there,
            ami="ImageId",
            instanceType="InstanceType",
            subnetId="SubnetId",
            ebsOptimized="EbsOptimized",
            privateIp="PrivateIpAddress",
            privateDns="PrivateDnsName",
        ),
    }


def _attribute(aws: Aws, made: str, name: str) -> Any:  # noqa: ANN401 - the attribute's own type
    answer = aws("ec2").describe_instance_attribute(InstanceId=made, Attribute=name)
    return answer[name[:1].upper() + name[1:]].get("Value")


def _read_user_data(aws: Aws, made: str) -> str | None:
    value = _attribute(aws, made, "userData")
    return base64.b64decode(value).decode() if value else None


def _root(there: Props) -> Props:
    blocks = there["BlockDeviceMappings"]
    return next((each["Ebs"] for each in blocks if each["DeviceName"] == there["RootDeviceName"]), {})


def _read_root(aws: Aws, there: Props) -> Props | None:
    block = _root(there)
    if not block:
        return None
    (disk,) = aws("ec2").describe_volumes(VolumeIds=[block["VolumeId"]])["Volumes"]
    return {
        "deleteOnTermination": block["DeleteOnTermination"],
        "volumeId": block["VolumeId"],
        "volumeSize": disk["Size"],
        "tags": mapping(disk.get("Tags")),
        **found(disk, volumeType="VolumeType", encrypted="Encrypted", kmsKeyId="KmsKeyId"),
    }


def _protect(aws: Aws, made: str, wanted: Props) -> None:
    value = {"Value": wanted["disableApiTermination"]}
    aws("ec2").modify_instance_attribute(InstanceId=made, DisableApiTermination=value)


def _stopped(aws: Aws, made: str, **attribute: Any) -> None:  # noqa: ANN401 - the attribute's own type
    """Change what only a stopped instance takes, as the plugin does."""
    aws("ec2").stop_instances(InstanceIds=[made])
    _wait(aws, "instance_stopped", made)
    aws("ec2").modify_instance_attribute(InstanceId=made, **attribute)
    aws("ec2").start_instances(InstanceIds=[made])
    _wait(aws, "instance_running", made)


def _change_type(aws: Aws, made: str, wanted: Props) -> None:
    _stopped(aws, made, InstanceType={"Value": wanted["instanceType"]})


def _change_user_data(aws: Aws, made: str, wanted: Props) -> None:
    # moto: wants it encoded once more than AWS does, where boto3 has done so already
    _stopped(aws, made, UserData={"Value": base64.b64encode(wanted.get("userData", "").encode())})


def _change_groups(aws: Aws, made: str, wanted: Props) -> None:
    aws("ec2").modify_instance_attribute(InstanceId=made, Groups=wanted["vpcSecurityGroupIds"])


def _change_metadata(aws: Aws, made: str, wanted: Props) -> None:
    aws("ec2").modify_instance_metadata_options(InstanceId=made, **pascal(wanted["metadataOptions"]))


def _change_profile(aws: Aws, made: str, wanted: Props) -> None:
    where = [{"Name": "instance-id", "Values": [made]}]
    profile = {"Name": wanted["iamInstanceProfile"]}
    there = aws("ec2").describe_iam_instance_profile_associations(Filters=where)["IamInstanceProfileAssociations"]
    if there:
        aws("ec2").replace_iam_instance_profile_association(
            AssociationId=there[0]["AssociationId"], IamInstanceProfile=profile
        )
    else:
        aws("ec2").associate_iam_instance_profile(InstanceId=made, IamInstanceProfile=profile)


def _change_root(aws: Aws, made: str, wanted: Props) -> None:
    there, disk = _instance(aws, made) or {}, wanted["rootBlockDevice"]
    volume = _root(there)["VolumeId"]
    arguments = given(disk, Size="volumeSize", VolumeType="volumeType", Iops="iops", Throughput="throughput")
    now = _read_root(aws, there) or {}
    if any(disk.get(name) not in {None, now.get(name)} for name in _DISK):
        aws("ec2").modify_volume(VolumeId=volume, **arguments)
    RETAG(aws, volume, {"tags": disk.get("tags")})


def _end(aws: Aws, made: str, _: Props) -> None:
    aws("ec2").terminate_instances(InstanceIds=[made])
    _wait(aws, "instance_terminated", made)


# --- volumes ---------------------------------------------------------------------------------------------------------
def _create_volume(aws: Aws, wanted: Props) -> str:
    arguments = given(
        wanted,
        AvailabilityZone="availabilityZone",
        Size="size",
        VolumeType="type",
        Iops="iops",
        Throughput="throughput",
        Encrypted="encrypted",
        KmsKeyId="kmsKeyId",
    )
    made = str(aws("ec2").create_volume(**arguments, **specification("volume", wanted))["VolumeId"])
    with begun(made):
        _wait(aws, "volume_available", made)
    return made


def _read_volume(aws: Aws, made: str, _: Props) -> Props | None:
    (disk,) = aws("ec2").describe_volumes(VolumeIds=[made])["Volumes"]
    return {
        "arn": arn(aws, "volume", made),
        "tags": mapping(disk.get("Tags")),
        **found(
            disk,
            availabilityZone="AvailabilityZone",
            size="Size",
            type="VolumeType",
            iops="Iops",
            throughput="Throughput",
            encrypted="Encrypted",
            kmsKeyId="KmsKeyId",
        ),
    }


def _change_volume(aws: Aws, made: str, wanted: Props) -> None:
    arguments = given(wanted, Size="size", VolumeType="type", Iops="iops", Throughput="throughput")
    aws("ec2").modify_volume(VolumeId=made, **arguments)


# --- volumes at instances --------------------------------------------------------------------------------------------
def _attach(aws: Aws, wanted: Props) -> str:
    device, host, volume = wanted["deviceName"], wanted["instanceId"], wanted["volumeId"]
    aws("ec2").attach_volume(Device=device, InstanceId=host, VolumeId=volume)
    made = f"vai-{volume.removeprefix('vol-')}"
    with begun(made):
        _wait(aws, "volume_in_use", volume)
    return made


def _read_attached(aws: Aws, made: str, known: Props) -> Props | None:
    volume = f"vol-{made.removeprefix('vai-')}"
    (disk,) = aws("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]
    for each in disk["Attachments"]:
        if each["InstanceId"] == known["instanceId"]:
            return {"deviceName": each["Device"], "instanceId": each["InstanceId"], "volumeId": volume}
    return None


def _detach(aws: Aws, _: str, known: Props) -> None:
    host, volume = known["instanceId"], known["volumeId"]
    if known.get("stopInstanceBeforeDetaching"):
        aws("ec2").stop_instances(InstanceIds=[host])
        _wait(aws, "instance_stopped", host)
    aws("ec2").detach_volume(Device=known["deviceName"], InstanceId=host, VolumeId=volume)
    _wait(aws, "volume_available", volume)


KINDS = (
    Kind(
        type="aws:ec2/instance:Instance",
        create=_create_instance,
        read=_read_instance,
        delete=_end,
        updates={
            "instanceType": _change_type,
            "vpcSecurityGroupIds": _change_groups,
            "iamInstanceProfile": _change_profile,
            "metadataOptions": _change_metadata,
            "rootBlockDevice": _change_root,
            "userData": _change_user_data,
            "disableApiTermination": _protect,
            "tags": RETAG,
        },
        fixed=frozenset({"ami", "subnetId", "associatePublicIpAddress", "ebsOptimized", "availabilityZone"}),
        drifts={
            "instanceType": lambda value: "m7g.xlarge" if value != "m7g.xlarge" else "m7g.large",
            "metadataOptions": lambda value: {**value, "httpTokens": "optional"},
            "rootBlockDevice": lambda value: {**value, "tags": {}},
            "userData": lambda value: f"{value}# by hand\n",
        },
        defaults={"associatePublicIpAddress": False, "ebsOptimized": False, "disableApiTermination": False},
    ),
    Kind(
        type="aws:ebs/volume:Volume",
        create=_create_volume,
        read=_read_volume,
        delete=lambda aws, made, _: aws("ec2").delete_volume(VolumeId=made),
        updates={**updates(_change_volume, "size", "type", "iops", "throughput"), "tags": RETAG},
        fixed=frozenset({"availabilityZone", "encrypted", "kmsKeyId"}),
        drifts={"type": lambda value: "gp2" if value == "gp3" else "gp3"},
        defaults={"encrypted": False},
    ),
    Kind(
        type="aws:ec2/volumeAttachment:VolumeAttachment",
        create=_attach,
        read=_read_attached,
        delete=_detach,
        fixed=frozenset({"deviceName", "instanceId", "volumeId", "stopInstanceBeforeDetaching"}),
        # AWS keeps no such setting: it says what the plugin does at the end.
        unread=frozenset({"stopInstanceBeforeDetaching"}),
    ),
)
