"""What each setting buys, and an example of another value that costs more or less. None is left out: a test says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.cloud.cost.estimate import estimate
from infra.cloud.settings import Settings, check
from infra.cloud.stacks import group

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.cloud.cost.prices import Prices


@dataclass(frozen=True)
class Meaning:
    """What a setting buys; `other`, another value; `besides`, what has to change with it, by the setting's path.

    Without another value the setting costs nothing, or nothing that an estimate could tell.
    """

    buys: str
    other: Any = None
    besides: Mapping[str, Any] = field(default_factory=dict)


_RDS: Mapping[str, Any] = {"database.kind": "rds", "database.readers": 0}
MEANINGS: Mapping[str, Meaning] = {
    "environment": Meaning("The name that all names begin with; at most 20 characters, not internal in front"),
    "region": Meaning("Where it lies: near its clients", "eu-central-1", {"backups.replica_region": "eu-west-1"}),
    "account": Meaning("Any other account is refused, so that no stack is made in the wrong one"),
    "owner": Meaning("A tag: whom to ask"),
    "cost_center": Meaning("A tag: who pays"),
    "chain": Meaning("The Bitcoin network; on all but main few clients and a small index are assumed", "signet"),
    "start_height": Meaning("The block from which the indexer reads"),
    "image": Meaning(
        "One image for all hosts, of a host that was deployed to; without it Debian's newest when a stack is made, and"
        " hosts that scaling adds wait for the playbooks"
    ),
    "network.cidr": Meaning("The addresses; other ones for each stack that may be connected later"),
    "network.zones": Meaning(
        "Three zones by name, so that none that is new or gone ever moves a database; without it the first three"
    ),
    "network.nat": Meaning("A way out for each zone: a zone's outage takes no other zone's way out with it", "one"),
    "network.flow_log_days": Meaning("How far back one sees who spoke to whom; only what CloudWatch offers", 365),
    "database.kind": Meaning(
        "aurora: storage that grows and fails over in seconds; rds: plain PostgreSQL; patroni: all in our own hands",
        "rds",
        {"database.readers": 0},
    ),
    "database.version": Meaning("The version of PostgreSQL; Aurora and RDS have their own lists"),
    "database.instance_class": Meaning("Memory for the index and processors for questions", "db.r7g.2xlarge"),
    "database.readers": Meaning(
        "Aurora's servers that answer clients, and take over; 0 means minutes without a database. RDS has none", 3
    ),
    "database.storage_gb": Meaning("Room for the index, of RDS and Patroni; Aurora grows by itself", 1_000, _RDS),
    "database.backup_days": Meaning("Any second of so many days can be returned to", 7),
    "database.authorities_sha256": Meaning(
        "Of Aurora and RDS: the one file of Amazon's authorities that hosts trust; without it what Amazon's address"
        " gives over TLS when it is first asked"
    ),
    "database.protect": Meaning(
        "Nobody deletes what holds data by mistake; with RDS a standby in another zone too",
        False,
        _RDS,
    ),
    "cache.node_type": Meaning("Memory for answers and for limits of clients", "cache.r7g.large"),
    "cache.replicas": Meaning("A cache that outlives a zone; 0: limits and answers are forgotten with its host", 2),
    "api.instance_type": Meaning("Processors for answers", "c7g.xlarge"),
    "api.minimum": Meaning("Hosts that are always there; 1 is an outage at each replacement", 4),
    "api.maximum": Meaning("How far it scales out by itself, and the most it may cost", 20),
    "api.warm": Meaning(
        "With an image: stopped hosts, ready in a minute rather than in several", 3, {"image": "ami-0123456789abcdef0"}
    ),
    "api.requests_per_host": Meaning("How much a host is given before there is another one"),
    "api.live": Meaning("The colour that has the traffic; deployments change it"),
    "sync.instance_type": Meaning("How fast blocks are indexed", "c7g.2xlarge"),
    "sync.hosts": Meaning("One writes, the others take over", 3),
    "node.kind": Meaning(
        "A node of our own asks nobody; somebody's endpoint may fail or lie",
        "external",
        {"node.url": "https://node.example.com"},
    ),
    "node.instance_type": Meaning("How fast the node answers and validates", "m7g.xlarge"),
    "node.volume_gb": Meaning("Room for the chain, which grows by about 80 GB a year", 2_000),
    "node.url": Meaning("The endpoint of `kind: external`; its password is a secret"),
    "balancer.allowed": Meaning(
        "Who may ask at all; unless it is everyone, there is no health check", ("198.51.100.0/24",)
    ),
    "balancer.requests_per_address": Meaning("How much one address may ask in five minutes"),
    "balancer.log_days": Meaning("How far back one sees what was asked; only what CloudWatch offers", 365),
    "monitoring.kind": Meaning("hosts: all on one disk; managed: Amazon keeps 150 days, in three zones", "managed"),
    "monitoring.instance_type": Meaning("How many series and questions it bears", "m7g.large"),
    "monitoring.volume_gb": Meaning("How far back metrics go", 500),
    "monitoring.email": Meaning("Who is told by CloudWatch and the budget; it has to be confirmed once"),
    "monitoring.budget_usd": Meaning("A mail at 80 % and 100 % of it, and when the month's forecast is over it"),
    "grafana.kind": Meaning(
        "host: dashboards on the monitoring host; managed: Amazon's, which people sign in to as whom they are",
        "managed",
        {"monitoring.kind": "managed", "grafana.metadata_url": "https://idp.example.com", "grafana.admins": ("admin",)},
    ),
    "grafana.sign_in": Meaning(
        "saml: any company's directory; sso: IAM Identity Center, which the account has to have"
    ),
    "grafana.metadata_url": Meaning("Where the directory describes itself, with saml"),
    "grafana.role_attribute": Meaning("What the directory says of a person, with saml, that decides on rights"),
    "grafana.admins": Meaning("Who may set it up: values of that attribute, or with sso ids of groups"),
    "grafana.editors": Meaning("Who may change dashboards, in the same way; all others only look"),
    "trail.kind": Meaning(
        "account: who called what of AWS in any region, and an alarm when it is the root user; none where an"
        " organization or another stack of the account has a trail",
        "account",
    ),
    "trail.days": Meaning("How far back one sees who did what"),
    "pipelines.repository": Meaning("A role that plans and one that changes this stack, for a repository at GitHub"),
    "pipelines.provider": Meaning("make: this stack lets the account believe GitHub; use: another stack of it has"),
    "pipelines.state": Meaning("The bucket with the stack's state, which the roles reach"),
    "pipelines.state_key": Meaning("The key of the state's secrets"),
    "backups.replica_region": Meaning("Where copies lie when the region is lost", "ap-northeast-1"),
    "backups.lock_days": Meaning(
        "For so long nobody can delete a backup of Patroni's, with `database.protect` whatever their rights;"
        " snapshots of Aurora and RDS are locked for as long as they stay",
        90,
        {"database.kind": "patroni"},
    ),
    "names.domain": Meaning("The name that clients ask"),
    "names.zone_id": Meaning(
        "The hosted zone; several regions share one, which is older than they are", "Z0000000EXAMPLE"
    ),
    "names.share": Meaning("This region's weight among those that share the name; 0 takes it out", 50),
    "names.failover": Meaning("One region alone answers, and the other when it fails, rather than shares", "secondary"),
}
# What every example starts from: all defaults, in the first region of the price table.
PLAIN: Mapping[str, Any] = {
    "environment": "production",
    "region": "us-east-1",
    "owner": "platform",
    "cost_center": "indexer",
    "monitoring": {"email": "oncall@example.com", "budget_usd": 4_000},
    "backups": {"replica_region": "us-west-2"},
    "names": {"domain": "brc20.example.com"},
}


# What follows from a kind, as an endpoint does, and so changes with it.
_FOLLOWING = frozenset({"node.url", "grafana.metadata_url", "grafana.admins"})


def paths() -> Iterator[str]:
    """Give the path of every setting: `owner`, `database.readers`."""
    for name in Settings.model_fields:
        inner = group(name)
        yield from [name] if inner is None else [f"{name}.{each}" for each in inner.model_fields]


def with_other(path: str) -> tuple[Settings, Settings]:
    """Return settings that differ in this one setting alone: as its example starts from, and with its other value."""
    meaning = MEANINGS[path]
    before = {each: value for each, value in meaning.besides.items() if each not in _FOLLOWING}
    if path == "region":
        before = {}
    return _changed(before), _changed({**meaning.besides, path: meaning.other})


def effect(path: str, prices: Prices) -> tuple[float, float]:
    """Return by how much the other value changes what a stack costs: as it stands and at most, US dollars a month."""
    before, after = (estimate(settings, prices) for settings in with_other(path))
    return after.total - before.total, after.most - before.most


def _changed(changes: Mapping[str, Any]) -> Settings:
    values: dict[str, Any] = {name: dict(value) if isinstance(value, dict) else value for name, value in PLAIN.items()}
    for path, value in changes.items():
        name, _, inner = path.partition(".")
        if inner:
            values.setdefault(name, {})[inner] = value
        else:
            values[name] = value
    return check(values)
