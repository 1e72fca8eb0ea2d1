"""The network: three zones, in each a public, a private and a data subnet."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from pulumi_aws import cloudwatch, ec2, iam

from infra.cloud.site import Site, Tier
from infra.cloud.tiers.policy import allow, document, trust

if TYPE_CHECKING:
    import pulumi

_SUBNET_BITS = 20
_ANYWHERE = "0.0.0.0/0"


def subnets(cidr: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the networks of the public, the private and the data subnets, three of each, of a /16."""
    networks = [str(each) for each in IPv4Network(cidr).subnets(new_prefix=_SUBNET_BITS)]
    return tuple(networks[0:3]), tuple(networks[3:6]), tuple(networks[6:9])


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """`logs_key` encrypts what the flow logs say."""

    site: Site
    logs_key: pulumi.Input[str]


class Network(Tier):
    """The VPC.

    Only the balancer and the gateways are in public subnets; the data subnets have no way out unless hosts of our own
    are there. `private_tables` and `data_tables` are route tables, for the gateway endpoints.
    """

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._site = site = args.site
        self.vpc_cidr = site.settings.network.cidr
        public, self.private_cidrs, data = subnets(self.vpc_cidr)
        self._vpc = ec2.Vpc(
            "network",
            cidr_block=self.vpc_cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=site.tags("network"),
            opts=self.child(),
        )
        # Whatever forgets to name its group gets this one: it lets nothing in and nothing out.
        ec2.DefaultSecurityGroup(
            "default", vpc_id=self._vpc.id, ingress=[], egress=[], tags=site.tags("default"), opts=self.child()
        )
        self.vpc_id = self._vpc.id
        public_subnets = self._subnets("public", public)
        self.private_subnets = tuple(each.id for each in self._subnets("private", self.private_cidrs))
        self.data_subnets = tuple(each.id for each in self._subnets("data", data))
        self.public_subnets = tuple(each.id for each in public_subnets)
        self._internet = ec2.InternetGateway(
            "internet", vpc_id=self._vpc.id, tags=site.tags("internet"), opts=self.child()
        )
        self._public_routes()
        gateways = self._gateways()
        # Hosts of our own need packages and releases; Amazon's databases need nothing from outside.
        hosts = site.settings.database.kind == "patroni"
        self.private_tables = self._private("private", self.private_subnets, gateways)
        self.data_tables = self._private("data", self.data_subnets, gateways if hosts else [])
        self._flow_logs(args.logs_key)
        self.register_outputs({"vpc_id": self.vpc_id})

    def _subnets(self, part: str, networks: tuple[str, ...]) -> list[ec2.Subnet]:
        return [
            ec2.Subnet(
                f"{part}-{number}",
                vpc_id=self._vpc.id,
                cidr_block=network,
                availability_zone=zone,
                # Gateways and the balancer bring addresses of their own; a host never gets one by accident.
                map_public_ip_on_launch=False,
                tags=self._site.tags(f"{part}-{number}", reach=part),
                opts=self.child(),
            )
            for number, (network, zone) in enumerate(zip(networks, self._site.zones, strict=True), 1)
        ]

    def _public_routes(self) -> None:
        for number, subnet in enumerate(self.public_subnets, 1):
            self._table(f"public-{number}", subnet, [{"gateway_id": self._internet.id}])

    def _gateways(self) -> list[ec2.NatGateway]:
        """Make one gateway, or one in each zone: only then does a zone's outage stay in its zone.

        A network without a way to the internet takes neither them nor their addresses, so they wait for it, and it
        for them when all is deleted.
        """
        number = 1 if self._site.settings.network.nat == "one" else len(self._site.zones)
        gateways = []
        for each in range(1, number + 1):
            tags = self._site.tags(f"nat-{each}")
            address = ec2.Eip(f"nat-{each}", domain="vpc", tags=tags, opts=self.child(depends_on=[self._internet]))
            gateways.append(
                ec2.NatGateway(
                    f"nat-{each}",
                    allocation_id=address.id,
                    subnet_id=self.public_subnets[each - 1],
                    tags=tags,
                    opts=self.child(depends_on=[self._internet]),
                )
            )
        return gateways

    def _private(
        self, part: str, subnets: tuple[pulumi.Output[str], ...], gateways: list[ec2.NatGateway]
    ) -> tuple[pulumi.Output[str], ...]:
        """Make the tables of subnets whose way out are gateways, the one of their own zone where each has one."""
        tables = []
        for number, subnet in enumerate(subnets):
            zone = gateways[number % len(gateways)] if gateways else None
            tables.append(self._table(f"{part}-{number + 1}", subnet, [{"nat_gateway_id": zone.id}] if zone else []))
        return tuple(tables)

    def _table(
        self, part: str, subnet: pulumi.Input[str], ways: list[dict[str, pulumi.Input[str]]]
    ) -> pulumi.Output[str]:
        """Make a subnet's route table; its routes are inline, so that one added by hand is seen."""
        table = ec2.RouteTable(
            part,
            vpc_id=self._vpc.id,
            routes=[ec2.RouteTableRouteArgs(cidr_block=_ANYWHERE, **way) for way in ways],
            tags=self._site.tags(part),
            opts=self.child(),
        )
        ec2.RouteTableAssociation(part, subnet_id=subnet, route_table_id=table.id, opts=self.child())
        return table.id

    def _flow_logs(self, key: pulumi.Input[str]) -> None:
        """Log who spoke to whom, what was refused too: after an intrusion it is the only witness outside the hosts."""
        site = self._site
        path = f"/simplicity/{site.settings.environment}/network"
        group = cloudwatch.LogGroup(
            "flows",
            name=path,
            kms_key_id=key,
            retention_in_days=site.settings.network.flow_log_days,
            tags=site.tags("flows"),
            opts=self.child(),
        )
        writes = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        where = [site.arn("logs", f"log-group:{path}"), site.arn("logs", f"log-group:{path}:*")]
        role = iam.Role(
            "flows",
            name=site.name("flows"),
            description="Writes the flow logs",
            assume_role_policy=trust("vpc-flow-logs.amazonaws.com", site.account),
            permissions_boundary=site.boundary,
            tags=site.tags("flows"),
            opts=self.child(),
        )
        iam.RolePolicy(
            "flows", name=site.name("flows"), role=role.name, policy=document([allow(writes, where)]), opts=self.child()
        )
        ec2.FlowLog(
            "flows",
            vpc_id=self._vpc.id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=600,
            tags=site.tags("flows"),
            opts=self.child(),
        )
