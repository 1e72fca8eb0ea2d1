"""The firewall: who may speak to whom, by security groups.

A group lets others in by their group, and itself out by networks: two groups that name each other could not be made.
All rules are inline: one that somebody adds by hand is drift, and goes with the next `up`. A description has no
apostrophe: EC2 refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pulumi_aws import ec2

from infra.cloud.site import Site, Tier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pulumi

HTTP, HTTPS = 80, 443
API_PORTS: Mapping[str, int] = {"blue": 8441, "green": 8442}
RPC_PORTS: Mapping[str, int] = {"main": 8332, "test": 18332, "signet": 38332, "regtest": 18443}
PEER_PORTS: Mapping[str, int] = {"main": 8333, "test": 18333, "signet": 38333, "regtest": 18444}
POSTGRESQL, POOLER, PATRONI, ETCD, ETCD_PEERS, VALKEY = 5432, 6432, 8008, 2379, 2380, 6379
SYNC_METRICS, NODE_EXPORTER, POSTGRESQL_EXPORTER, POOLER_EXPORTER = 9102, 9100, 9187, 9127
_ANYWHERE = "0.0.0.0/0"
# Who uses the database and the cache: the indexer, and the exporters on the hosts of monitoring.
_CLIENTS = ("api", "sync", "monitoring")
_DATABASE_METRICS = {PATRONI: "Patroni", POSTGRESQL_EXPORTER: "PostgreSQL", POOLER_EXPORTER: "PgBouncer"}


@dataclass(frozen=True, kw_only=True)
class FirewallArgs:
    """The networks are those of the private and of the data subnets' VPC."""

    site: Site
    vpc_id: pulumi.Input[str]
    vpc_cidr: str
    private_cidrs: tuple[str, ...]


class Firewall(Tier):
    """The groups by what they are for; nothing has SSH open: hosts are reached through SSM."""

    def __init__(self, name: str, args: FirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._args, self._site = args, args.site
        self.groups: dict[str, pulumi.Output[str]] = {}
        self._monitoring()
        self._balancer()
        self._indexers()
        self._node()
        self._database()
        self._cache()
        self._endpoints()
        self.register_outputs({"groups": self.groups})

    def _monitoring(self) -> None:
        # Nobody is let in: Prometheus and Grafana are reached through SSM's tunnels.
        inside = self._args.vpc_cidr
        # Its own exporters ask Amazon's database and cache, which take none in.
        asks = {NODE_EXPORTER: "exporters of hosts", POSTGRESQL: "database", VALKEY: "cache"}
        out = [_to(port, [inside], what) for port, what in asks.items()]
        self._group("monitoring", "Prometheus, Alertmanager and Grafana", [], [*out, *self._scrapes(), _way_out()])

    def _scrapes(self) -> list[ec2.SecurityGroupEgressArgs]:
        inside = self._args.vpc_cidr
        out = [_to(port, [inside], f"metrics of the API, {colour}") for colour, port in API_PORTS.items()]
        out.append(_to(SYNC_METRICS, [inside], "metrics of sync"))
        if self._own_database:
            out += [_to(port, [inside], f"metrics of {what}") for port, what in _DATABASE_METRICS.items()]
        return out

    def _balancer(self) -> None:
        allowed = self._site.settings.balancer.allowed
        let_in = [_from_networks(HTTPS, allowed, "clients"), _from_networks(HTTP, allowed, "clients, to be redirected")]
        out = [_to(port, self._args.private_cidrs, f"API, {colour}") for colour, port in API_PORTS.items()]
        self._group("balancer", "The load balancer", let_in, out)

    def _indexers(self) -> None:
        api = [self._from(port, "balancer", f"API, {colour}") for colour, port in API_PORTS.items()]
        api += [self._from(port, "monitoring", f"metrics of the API, {colour}") for colour, port in API_PORTS.items()]
        sync = [self._from(SYNC_METRICS, "monitoring", "metrics of sync")]
        for name, description, rules in (
            ("api", "Hosts of the API", api),
            ("sync", "Hosts that follow the chain", sync),
        ):
            self._group(name, description, [*rules, self._exporter()], self._uses())

    def _uses(self) -> list[ec2.SecurityGroupEgressArgs]:
        """Return the way to all that the indexer uses."""
        inside, settings = self._args.vpc_cidr, self._site.settings
        out = [_to(POSTGRESQL, [inside], "database"), _to(VALKEY, [inside], "cache"), _way_out()]
        if self._own_database:
            out.append(_to(POOLER, [inside], "connection pooler"))
        if settings.node.url is None:
            return [*out, _to(RPC_PORTS[settings.chain], [inside], "node")]
        parts = urlsplit(settings.node.url)
        port = parts.port or (HTTPS if parts.scheme == "https" else HTTP)
        return out if port == HTTPS else [*out, _to(port, [_ANYWHERE], "node")]

    def _node(self) -> None:
        chain = self._site.settings.chain
        let_in = [self._from(RPC_PORTS[chain], each, f"RPC for {each}") for each in ("api", "sync")]
        # It finds its peers itself and needs nobody to find it.
        out = [_to(PEER_PORTS[chain], [_ANYWHERE], "peers"), _way_out()]
        self._group("node", "The Bitcoin node", [*let_in, self._exporter()], out)

    def _database(self) -> None:
        let_in = [self._from(POSTGRESQL, each, f"PostgreSQL for {each}") for each in _CLIENTS]
        if not self._own_database:
            # Amazon's own hosts: they start no connection.
            self._group("database", "The database", let_in, [])
            return
        let_in += [self._from(POOLER, each, f"PgBouncer for {each}") for each in ("api", "sync")]
        members = {POSTGRESQL: "replication", PATRONI: "Patroni", ETCD: "etcd", ETCD_PEERS: "members of etcd"}
        let_in += [_from_members(port, what) for port, what in members.items()]
        let_in += [self._from(port, "monitoring", f"metrics of {what}") for port, what in _DATABASE_METRICS.items()]
        out = [_to_members(port, what) for port, what in members.items()]
        self._group("database", "The database", [*let_in, self._exporter()], [*out, _way_out()])

    def _cache(self) -> None:
        # Amazon's own hosts: they start no connection.
        self._group("cache", "The cache", [self._from(VALKEY, each, f"Valkey for {each}") for each in _CLIENTS], [])

    def _endpoints(self) -> None:
        others = {"balancer", "cache"} if self._own_database else {"balancer", "cache", "database"}
        hosts = [each for each in self.groups if each not in others]
        let_in = [self._from(HTTPS, each, f"services of AWS for {each}") for each in hosts]
        self._group("endpoints", "Services of AWS inside the network", let_in, [])

    @property
    def _own_database(self) -> bool:
        return self._site.settings.database.kind == "patroni"

    def _exporter(self) -> ec2.SecurityGroupIngressArgs:
        return self._from(NODE_EXPORTER, "monitoring", "exporter of the host")

    def _from(self, port: int, group: str, why: str) -> ec2.SecurityGroupIngressArgs:
        return ec2.SecurityGroupIngressArgs(
            protocol="tcp", from_port=port, to_port=port, security_groups=[self.groups[group]], description=why
        )

    def _group(
        self,
        part: str,
        description: str,
        ingress: Sequence[ec2.SecurityGroupIngressArgs],
        egress: Sequence[ec2.SecurityGroupEgressArgs],
    ) -> None:
        self.groups[part] = ec2.SecurityGroup(
            part,
            name=self._site.name(part),
            description=description,
            vpc_id=self._args.vpc_id,
            ingress=list(ingress),
            egress=list(egress),
            tags=self._site.tags(part),
            opts=self.child(),
        ).id


def _from_networks(port: int, networks: Sequence[str], why: str) -> ec2.SecurityGroupIngressArgs:
    return ec2.SecurityGroupIngressArgs(
        protocol="tcp", from_port=port, to_port=port, cidr_blocks=list(networks), description=why
    )


def _from_members(port: int, why: str) -> ec2.SecurityGroupIngressArgs:
    return ec2.SecurityGroupIngressArgs(protocol="tcp", from_port=port, to_port=port, self=True, description=why)


def _to(port: int, networks: Sequence[str], why: str) -> ec2.SecurityGroupEgressArgs:
    return ec2.SecurityGroupEgressArgs(
        protocol="tcp", from_port=port, to_port=port, cidr_blocks=list(networks), description=why
    )


def _to_members(port: int, why: str) -> ec2.SecurityGroupEgressArgs:
    return ec2.SecurityGroupEgressArgs(protocol="tcp", from_port=port, to_port=port, self=True, description=why)


def _way_out() -> ec2.SecurityGroupEgressArgs:
    """Let a host reach packages, releases and AWS's services; names and time are served inside and pass no group."""
    return _to(HTTPS, [_ANYWHERE], "packages and services of AWS")
