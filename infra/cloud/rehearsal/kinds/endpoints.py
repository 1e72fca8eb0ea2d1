"""AWS's services inside the network, and the log of who spoke to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds import others
from infra.cloud.rehearsal.kinds.shared import found, given, mapping
from infra.cloud.rehearsal.kinds.vpc import RETAG, arn, specification

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

# A property, and AWS's name of one of them in its calls.
_MEMBERS = {"subnetIds": "SubnetIds", "securityGroupIds": "SecurityGroupIds", "routeTableIds": "RouteTableIds"}


def _create_endpoint(aws: Aws, wanted: Props) -> str:
    arguments = given(
        wanted,
        VpcId="vpcId",
        ServiceName="serviceName",
        VpcEndpointType="vpcEndpointType",
        PolicyDocument="policy",
        PrivateDnsEnabled="privateDnsEnabled",
        **{argument: name for name, argument in _MEMBERS.items()},
    )
    answer = aws("ec2").create_vpc_endpoint(**arguments, **specification("vpc-endpoint", wanted))
    return str(answer["VpcEndpoint"]["VpcEndpointId"])


def _read_endpoint(aws: Aws, made: str, _: Props) -> Props | None:
    (endpoint,) = aws("ec2").describe_vpc_endpoints(VpcEndpointIds=[made])["VpcEndpoints"]
    if endpoint["State"].lower() in {"deleting", "deleted"}:
        return None
    private = {"privateDnsEnabled": endpoint["PrivateDnsEnabled"]} if endpoint["VpcEndpointType"] == "Interface" else {}
    return {
        "arn": arn(aws, "vpc-endpoint", made),
        "subnetIds": sorted(endpoint.get("SubnetIds", ())),
        "routeTableIds": sorted(endpoint.get("RouteTableIds", ())),
        "securityGroupIds": sorted(each["GroupId"] for each in endpoint.get("Groups", ())),
        "tags": mapping(endpoint.get("Tags")),
        **private,
        **found(
            endpoint,
            vpcId="VpcId",
            serviceName="ServiceName",
            vpcEndpointType="VpcEndpointType",
            policy="PolicyDocument",
        ),
    }


def _change_endpoint(aws: Aws, made: str, wanted: Props) -> None:
    there = _read_endpoint(aws, made, {}) or {}
    arguments = given(wanted, PolicyDocument="policy")
    for name, argument in _MEMBERS.items():
        asked, has = set(wanted.get(name) or ()), set(there[name])
        if asked - has:
            arguments[f"Add{argument}"] = sorted(asked - has)
        if has - asked:
            arguments[f"Remove{argument}"] = sorted(has - asked)
    aws("ec2").modify_vpc_endpoint(VpcEndpointId=made, **arguments)


def _create_flow_log(aws: Aws, wanted: Props) -> str:
    arguments = given(
        wanted,
        TrafficType="trafficType",
        LogDestinationType="logDestinationType",
        LogDestination="logDestination",
        DeliverLogsPermissionArn="iamRoleArn",
        MaxAggregationInterval="maxAggregationInterval",
    )
    tags = specification("vpc-flow-log", wanted)
    answer = aws("ec2").create_flow_logs(ResourceIds=[wanted["vpcId"]], ResourceType="VPC", **arguments, **tags)
    return str(answer["FlowLogIds"][0])


def _read_flow_log(aws: Aws, made: str, _: Props) -> Props | None:
    logs = aws("ec2").describe_flow_logs(FlowLogIds=[made])["FlowLogs"]
    if not logs:
        return None
    return {
        "arn": arn(aws, "vpc-flow-log", made),
        "tags": mapping(logs[0].get("Tags")),
        **found(
            logs[0],
            vpcId="ResourceId",
            trafficType="TrafficType",
            logDestinationType="LogDestinationType",
            logDestination="LogDestination",
            iamRoleArn="DeliverLogsPermissionArn",
            maxAggregationInterval="MaxAggregationInterval",
        ),
    }


KINDS = (
    Kind(
        type="aws:ec2/vpcEndpoint:VpcEndpoint",
        create=_create_endpoint,
        read=_read_endpoint,
        delete=lambda aws, made, _: aws("ec2").delete_vpc_endpoints(VpcEndpointIds=[made]),
        updates={**updates(_change_endpoint, "policy", *_MEMBERS), "tags": RETAG},
        # moto cannot change privateDnsEnabled of one that is there, AWS can.
        fixed=frozenset({"vpcId", "serviceName", "vpcEndpointType", "privateDnsEnabled"}),
        drifts={"policy": others.statements, "subnetIds": others.fewer, "routeTableIds": others.fewer},
    ),
    Kind(
        type="aws:ec2/flowLog:FlowLog",
        create=_create_flow_log,
        read=_read_flow_log,
        delete=lambda aws, made, _: aws("ec2").delete_flow_logs(FlowLogIds=[made]),
        updates={"tags": RETAG},
        fixed=frozenset(
            {
                "vpcId",
                "trafficType",
                "logDestinationType",
                "logDestination",
                "iamRoleArn",
                "maxAggregationInterval",
            }
        ),
    ),
)
