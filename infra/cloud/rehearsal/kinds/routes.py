"""The network's ways: gateways, addresses, route tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun
from infra.cloud.rehearsal.kinds.shared import found, given, mapping
from infra.cloud.rehearsal.kinds.vpc import RETAG, arn, specification

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_TARGETS = {
    "gatewayId": "GatewayId",
    "natGatewayId": "NatGatewayId",
    "egressOnlyGatewayId": "EgressOnlyInternetGatewayId",
    "transitGatewayId": "TransitGatewayId",
    "vpcPeeringConnectionId": "VpcPeeringConnectionId",
    "networkInterfaceId": "NetworkInterfaceId",
}
_PREFIXES = "destinationPrefixListId"
_DESTINATIONS = {
    "cidrBlock": "DestinationCidrBlock",
    "ipv6CidrBlock": "DestinationIpv6CidrBlock",
    _PREFIXES: "DestinationPrefixListId",
}


def _create_gateway(aws: Aws, wanted: Props) -> str:
    tags = specification("internet-gateway", wanted)
    made = str(aws("ec2").create_internet_gateway(**tags)["InternetGateway"]["InternetGatewayId"])
    if wanted.get("vpcId"):
        with begun(made):
            aws("ec2").attach_internet_gateway(InternetGatewayId=made, VpcId=wanted["vpcId"])
    return made


def _attached(aws: Aws, made: str) -> str | None:
    (gateway,) = aws("ec2").describe_internet_gateways(InternetGatewayIds=[made])["InternetGateways"]
    return next((each["VpcId"] for each in gateway.get("Attachments", ())), None)


def _attach(aws: Aws, made: str, wanted: Props) -> None:
    if there := _attached(aws, made):
        aws("ec2").detach_internet_gateway(InternetGatewayId=made, VpcId=there)
    aws("ec2").attach_internet_gateway(InternetGatewayId=made, VpcId=wanted["vpcId"])


def _read_gateway(aws: Aws, made: str, _: Props) -> Props | None:
    (gateway,) = aws("ec2").describe_internet_gateways(InternetGatewayIds=[made])["InternetGateways"]
    there = _attached(aws, made)
    return {
        "arn": arn(aws, "internet-gateway", made),
        "tags": mapping(gateway.get("Tags")),
        **({"vpcId": there} if there else {}),
    }


def _delete_gateway(aws: Aws, made: str, _: Props) -> None:
    if there := _attached(aws, made):
        aws("ec2").detach_internet_gateway(InternetGatewayId=made, VpcId=there)
    aws("ec2").delete_internet_gateway(InternetGatewayId=made)


def _create_address(aws: Aws, wanted: Props) -> str:
    tags = specification("elastic-ip", wanted)
    return str(aws("ec2").allocate_address(**given(wanted, Domain="domain"), **tags)["AllocationId"])


def _read_address(aws: Aws, made: str, _: Props) -> Props | None:
    (address,) = aws("ec2").describe_addresses(AllocationIds=[made])["Addresses"]
    return {
        "arn": arn(aws, "elastic-ip", made),
        "tags": mapping(address.get("Tags")),
        **found(address, domain="Domain", publicIp="PublicIp", allocationId="AllocationId"),
    }


def _create_nat(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, AllocationId="allocationId", SubnetId="subnetId", ConnectivityType="connectivityType")
    tags = specification("natgateway", wanted)
    made = str(aws("ec2").create_nat_gateway(**arguments, **tags)["NatGateway"]["NatGatewayId"])
    with begun(made):
        aws("ec2").get_waiter("nat_gateway_available").wait(NatGatewayIds=[made])
    return made


def _read_nat(aws: Aws, made: str, _: Props) -> Props | None:
    gateways = aws("ec2").describe_nat_gateways(NatGatewayIds=[made])["NatGateways"]
    if not gateways or gateways[0]["State"] in {"deleted", "deleting"}:
        return None
    addresses = gateways[0]["NatGatewayAddresses"]
    return {
        "tags": mapping(gateways[0].get("Tags")),
        **found(gateways[0], subnetId="SubnetId", connectivityType="ConnectivityType"),
        **found(
            addresses[0], allocationId="AllocationId", publicIp="PublicIp", networkInterfaceId="NetworkInterfaceId"
        ),
    }


def _delete_nat(aws: Aws, made: str, _: Props) -> None:
    (gateway,) = aws("ec2").describe_nat_gateways(NatGatewayIds=[made])["NatGateways"]
    aws("ec2").delete_nat_gateway(NatGatewayId=made)
    aws("ec2").get_waiter("nat_gateway_deleted").wait(NatGatewayIds=[made])
    # moto leaves the gateway's interface behind, which would hold its address and its subnet.
    for each in gateway["NatGatewayAddresses"]:
        held = [{"Name": "network-interface-id", "Values": [each["NetworkInterfaceId"]]}]
        for address in aws("ec2").describe_addresses(AllocationIds=[each["AllocationId"]])["Addresses"]:
            if address.get("AssociationId"):
                aws("ec2").disassociate_address(AssociationId=address["AssociationId"])
        for interface in aws("ec2").describe_network_interfaces(Filters=held)["NetworkInterfaces"]:
            aws("ec2").delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])


def _create_table(aws: Aws, wanted: Props) -> str:
    tags = specification("route-table", wanted)
    made = str(aws("ec2").create_route_table(VpcId=wanted["vpcId"], **tags)["RouteTable"]["RouteTableId"])
    with begun(made):
        _change_routes(aws, made, wanted)
    return made


def _routes(aws: Aws, made: str) -> list[dict[str, Any]]:
    """Return a table's routes; the local one is always there, those of gateway endpoints come with their endpoint."""
    (table,) = aws("ec2").describe_route_tables(RouteTableIds=[made])["RouteTables"]
    routes = []
    for each in table["Routes"]:
        route, gateway = found(each, **_DESTINATIONS, **_TARGETS), each.get("GatewayId", "")
        # moto names no prefix list of an endpoint's route.
        of_endpoint = gateway.startswith("vpce-") and (_PREFIXES in route or not route.keys() & _DESTINATIONS)
        if gateway != "local" and not of_endpoint:
            routes.append(route)
    return sorted(routes, key=_destination)


def _destination(route: Props) -> tuple[str, str]:
    """Return where a route leads: which property says it, and its value."""
    return next((name, str(route[name])) for name in _DESTINATIONS if route.get(name))


def _change_routes(aws: Aws, made: str, wanted: Props) -> None:
    there = {_destination(each): each for each in _routes(aws, made)}
    told = ({name: value for name, value in each.items() if value} for each in wanted.get("routes") or ())
    asked = {_destination(each): each for each in told}
    for (name, value), route in there.items():
        if asked.get((name, value)) != route:
            aws("ec2").delete_route(RouteTableId=made, **{_DESTINATIONS[name]: value})
    for (name, value), route in asked.items():
        if there.get((name, value)) != route:
            target = given(route, **{argument: each for each, argument in _TARGETS.items()})
            aws("ec2").create_route(RouteTableId=made, **{_DESTINATIONS[name]: value}, **target)


def _read_table(aws: Aws, made: str, _: Props) -> Props | None:
    (table,) = aws("ec2").describe_route_tables(RouteTableIds=[made])["RouteTables"]
    return {
        "arn": arn(aws, "route-table", made),
        "routes": _routes(aws, made),
        "tags": mapping(table.get("Tags")),
        **found(table, vpcId="VpcId"),
    }


def _associate(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, RouteTableId="routeTableId", SubnetId="subnetId")
    return str(aws("ec2").associate_route_table(**arguments)["AssociationId"])


def _read_association(aws: Aws, made: str, _: Props) -> Props | None:
    name = "association.route-table-association-id"
    tables = aws("ec2").describe_route_tables(Filters=[{"Name": name, "Values": [made]}])["RouteTables"]
    for each in (association for table in tables for association in table["Associations"]):
        if each["RouteTableAssociationId"] == made:
            return found(each, routeTableId="RouteTableId", subnetId="SubnetId")
    return None


KINDS = (
    Kind(
        type="aws:ec2/internetGateway:InternetGateway",
        create=_create_gateway,
        read=_read_gateway,
        delete=_delete_gateway,
        updates={"vpcId": _attach, "tags": RETAG},
    ),
    Kind(
        type="aws:ec2/eip:Eip",
        create=_create_address,
        read=_read_address,
        delete=lambda aws, made, _: aws("ec2").release_address(AllocationId=made),
        updates={"tags": RETAG},
        fixed=frozenset({"domain"}),
    ),
    Kind(
        type="aws:ec2/natGateway:NatGateway",
        create=_create_nat,
        read=_read_nat,
        delete=_delete_nat,
        updates={"tags": RETAG},
        fixed=frozenset({"allocationId", "subnetId", "connectivityType"}),
        defaults={"connectivityType": "public"},
    ),
    Kind(
        type="aws:ec2/routeTable:RouteTable",
        create=_create_table,
        read=_read_table,
        delete=lambda aws, made, _: aws("ec2").delete_route_table(RouteTableId=made),
        updates={"routes": _change_routes, "tags": RETAG},
        fixed=frozenset({"vpcId"}),
        # Somebody takes the way out away; a table without one has none to lose.
        drifts={"routes": lambda value: [{**each, "cidrBlock": "198.51.100.0/24"} for each in value]},
    ),
    Kind(
        type="aws:ec2/routeTableAssociation:RouteTableAssociation",
        create=_associate,
        read=_read_association,
        delete=lambda aws, made, _: aws("ec2").disassociate_route_table(AssociationId=made),
        # The real one can move a subnet to another table in place, and then has another id.
        fixed=frozenset({"routeTableId", "subnetId"}),
    ),
)
