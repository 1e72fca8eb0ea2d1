"""The network: VPC, subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, pairs, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props


def specification(kind: str, wanted: Props) -> dict[str, Any]:
    """Return the tags of a thing that EC2 makes, as its calls take them."""
    tags = pairs(wanted.get("tags"))
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def arn(aws: Aws, kind: str, made: str) -> str:
    """Return the ARN of a thing of EC2's."""
    account = aws("sts").get_caller_identity()["Account"]
    return f"arn:aws:ec2:{aws('ec2').meta.region_name}:{account}:{kind}/{made}"


def _tags(aws: Aws, made: str) -> dict[str, str]:
    return mapping(aws("ec2").describe_tags(Filters=[{"Name": "resource-id", "Values": [made]}])["Tags"])


# How every thing of EC2's is tagged anew.
RETAG = retag(
    _tags,
    lambda aws, made, tags: aws("ec2").create_tags(Resources=[made], Tags=tags),
    lambda aws, made, names: aws("ec2").delete_tags(Resources=[made], Tags=[{"Key": name} for name in names]),
)


def _create_vpc(aws: Aws, wanted: Props) -> str:
    answer = aws("ec2").create_vpc(**given(wanted, CidrBlock="cidrBlock"), **specification("vpc", wanted))
    made = str(answer["Vpc"]["VpcId"])
    with begun(made):
        _change_vpc(aws, made, wanted)
    return made


def _change_vpc(aws: Aws, made: str, wanted: Props) -> None:
    for name, argument in (("enableDnsSupport", "EnableDnsSupport"), ("enableDnsHostnames", "EnableDnsHostnames")):
        aws("ec2").modify_vpc_attribute(VpcId=made, **{argument: {"Value": wanted[name]}})


def _read_vpc(aws: Aws, made: str, _: Props) -> Props | None:
    (vpc,) = aws("ec2").describe_vpcs(VpcIds=[made])["Vpcs"]

    def attribute(name: str) -> bool:
        answer = aws("ec2").describe_vpc_attribute(VpcId=made, Attribute=name)
        return bool(answer[name[:1].upper() + name[1:]]["Value"])

    return {
        "arn": arn(aws, "vpc", made),
        "enableDnsSupport": attribute("enableDnsSupport"),
        "enableDnsHostnames": attribute("enableDnsHostnames"),
        "tags": mapping(vpc.get("Tags")),
        **found(vpc, cidrBlock="CidrBlock"),
    }


def _create_subnet(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, VpcId="vpcId", CidrBlock="cidrBlock", AvailabilityZone="availabilityZone")
    made = str(aws("ec2").create_subnet(**arguments, **specification("subnet", wanted))["Subnet"]["SubnetId"])
    with begun(made):
        _change_subnet(aws, made, wanted)
    return made


def _change_subnet(aws: Aws, made: str, wanted: Props) -> None:
    aws("ec2").modify_subnet_attribute(SubnetId=made, MapPublicIpOnLaunch={"Value": wanted["mapPublicIpOnLaunch"]})


def _read_subnet(aws: Aws, made: str, _: Props) -> Props | None:
    (subnet,) = aws("ec2").describe_subnets(SubnetIds=[made])["Subnets"]
    return {
        "arn": arn(aws, "subnet", made),
        "tags": mapping(subnet.get("Tags")),
        **found(
            subnet,
            vpcId="VpcId",
            cidrBlock="CidrBlock",
            availabilityZone="AvailabilityZone",
            mapPublicIpOnLaunch="MapPublicIpOnLaunch",
        ),
    }


KINDS = (
    Kind(
        type="aws:ec2/vpc:Vpc",
        create=_create_vpc,
        read=_read_vpc,
        delete=lambda aws, made, _: aws("ec2").delete_vpc(VpcId=made),
        updates={**updates(_change_vpc, "enableDnsSupport", "enableDnsHostnames"), "tags": RETAG},
        fixed=frozenset({"cidrBlock"}),
        defaults={"enableDnsSupport": True, "enableDnsHostnames": False},
    ),
    Kind(
        type="aws:ec2/subnet:Subnet",
        create=_create_subnet,
        read=_read_subnet,
        delete=lambda aws, made, _: aws("ec2").delete_subnet(SubnetId=made),
        updates={"mapPublicIpOnLaunch": _change_subnet, "tags": RETAG},
        fixed=frozenset({"vpcId", "cidrBlock", "availabilityZone"}),
        defaults={"mapPublicIpOnLaunch": False},
    ),
)
