"""What tiers that keep nothing cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.cost.usage import DAYS, GIGABYTE, HOURS, MILLION, SECONDS, ZONES, answers_gb, requests

if TYPE_CHECKING:
    from infra.cloud.cost.lines import Book
    from infra.cloud.cost.usage import Usage
    from infra.cloud.settings import Settings

# As the tiers make them; a test holds these against the program.
KEYS, ENDPOINTS, SECRETS, SECRETS_OF_PATRONI, RULES = 4, 5, 7, 6, 4
ROOT_GB, INDEXER_ROOT_GB, SHORT_GB = 20, 30, 20
# Of the balancer, the firewall, the account, hosts and the policies that scale; the database has its own.
ALARMS, DATABASE_ALARMS = 16, 3
EVERYONE = "0.0.0.0/0"
# Samples in a month at the first price of Managed Prometheus, and how many one unit has.
FIRST_SAMPLES, SAMPLES = 2e9, 1e7


def checked(settings: Settings) -> bool:
    """Say whether Route 53 checks the health: its hosts are let in only where everyone is."""
    return EVERYONE in settings.balancer.allowed


def keys(book: Book, settings: Settings, _: Usage) -> None:
    """Count keys: those of the region, that of the copies, and that of the check's notifications."""
    book.add("keys", "encryption keys", "kms.key", KEYS + 1 + checked(settings))


def network(book: Book, settings: Settings, usage: Usage) -> None:
    """Count gateways, what goes through them, endpoints, flow logs."""
    gateways = 1 if settings.network.nat == "one" else ZONES
    # Without a node of ours its peers' traffic is not there: what is left is packages and the endpoint's answers.
    out = usage.out_gb if settings.node.kind == "host" else usage.out_gb / 5
    book.add("network", f"{gateways} x NAT gateway", "nat.hour", gateways * HOURS)
    book.add("network", "through the gateways", "nat.data", out)
    book.add("network", "addresses of the gateways", "ipv4.hour", gateways * HOURS)
    book.add("network", f"{ENDPOINTS} endpoints in {ZONES} zones", "endpoint.hour", ENDPOINTS * ZONES * HOURS)
    book.add("network", "flow logs, taken in", "logs.ingest", usage.flow_gb * DAYS)
    book.add("network", "flow logs, kept", "logs.storage", _kept(usage.flow_gb, settings.network.flow_log_days))


def secrets(book: Book, settings: Settings, _: Usage) -> None:
    """Count secrets; Amazon's databases keep one more, their administrator's."""
    more = SECRETS_OF_PATRONI if settings.database.kind == "patroni" else 1
    book.add("secrets", "secrets", "secrets.secret", SECRETS + more)


def cache(book: Book, settings: Settings, _: Usage) -> None:
    """Count the cache's nodes."""
    nodes, kind = 1 + settings.cache.replicas, settings.cache.node_type
    book.add("cache", f"{nodes} x node, {kind}", f"elasticache.{kind}", nodes * HOURS)


def balancer(book: Book, settings: Settings, usage: Usage) -> None:
    """Count the load balancer, the firewall before it, its logs, and what goes to clients."""
    asked, answered = requests(settings, usage), answers_gb(settings, usage)
    lines_gb = asked * usage.line_bytes / GIGABYTE / DAYS
    book.add("balancer", "load balancer", "alb.hour", HOURS)
    # One unit is 1 GB an hour, the dimension that weighs most here; there is never less than one.
    book.add("balancer", "capacity units", "alb.lcu", HOURS * max(1, answered / HOURS))
    book.add("balancer", "its addresses", "ipv4.hour", ZONES * HOURS)
    book.add("balancer", "web firewall", "waf.acl", 1)
    book.add("balancer", "its rules", "waf.rule", RULES)
    book.add("balancer", "requests that it looks at", "waf.requests", asked / MILLION)
    book.add("balancer", "access logs", "s3.storage", lines_gb * settings.balancer.log_days)
    book.add("balancer", "to clients", "transfer.out", answered)
    # An answer meets a zone's border about twice, balancer to host and host to database, and each time both sides pay.
    book.add("balancer", "between zones", "transfer.zones", answered * 4)


def names(book: Book, settings: Settings, _: Usage) -> None:
    """Count the zone where it is made here, and the check of the region: through HTTPS and every ten seconds."""
    book.add("names", "hosted zone", "route53.zone", settings.names.zone_id is None)
    book.add("names", "health check", "route53.check", checked(settings))
    book.add("names", "its options", "route53.option", 2 * checked(settings))


def node(book: Book, settings: Settings, _: Usage) -> None:
    """Count the Bitcoin node; somebody else's costs nothing here."""
    if settings.node.kind == "host":
        book.hosts("node", "node", settings.node.instance_type, 1, ROOT_GB + settings.node.volume_gb)


def indexers(book: Book, settings: Settings, _: Usage) -> None:
    """Count hosts of the API's live colour, those that stand by stopped, those of sync; the other colour has none."""
    api, sync = settings.api, settings.sync
    book.hosts("indexers", "API", api.instance_type, api.minimum, INDEXER_ROOT_GB)
    # Without an image of theirs no host stands by.
    warm = api.warm if settings.image else 0
    book.add("indexers", "disks of stopped hosts", "ebs.gp3", warm * INDEXER_ROOT_GB)
    book.hosts("indexers", "sync", sync.instance_type, sync.hosts, INDEXER_ROOT_GB)
    more = api.maximum - api.minimum
    book.hosts("indexers", "API more", api.instance_type, more, INDEXER_ROOT_GB, when_scaled=True)


def monitoring(book: Book, settings: Settings, usage: Usage) -> None:
    """Count the host with its store, or with a short one before Amazon's."""
    of = settings.monitoring
    managed = of.kind == "managed"
    disk = ROOT_GB + (min(SHORT_GB, of.volume_gb) if managed else of.volume_gb)
    book.hosts("monitoring", "monitoring", of.instance_type, 1, disk)
    if managed:
        hosts = settings.api.minimum + settings.sync.hosts + 1 + (settings.node.kind == "host")
        samples = hosts * usage.series_each * SECONDS / usage.interval
        first = min(samples, FIRST_SAMPLES)
        book.add("monitoring", "samples", "prometheus.samples", first / SAMPLES)
        book.add("monitoring", "samples beyond", "prometheus.samples-more", (samples - first) / SAMPLES)
    if settings.grafana.kind == "managed":
        book.add("monitoring", "who changes dashboards", "grafana.editor", usage.editors)
        book.add("monitoring", "who looks at them", "grafana.viewer", usage.viewers)


def alarms(book: Book, settings: Settings, usage: Usage) -> None:
    """Count alarms, metrics of our own, the account's trail, and logs but the network's."""
    database, trail = settings.database, settings.trail.kind == "account"
    of_database = {
        "aurora": DATABASE_ALARMS + (database.readers > 0),
        "rds": DATABASE_ALARMS,
        "patroni": 0,
    }
    number = ALARMS + of_database[database.kind] + checked(settings) + trail
    book.add("alarms", "alarms", "cloudwatch.alarm", number)
    book.add("alarms", "metrics of the lag and of root", "cloudwatch.metric", 1 + trail)
    book.add("alarms", "logs, taken in", "logs.ingest", usage.log_gb)
    # An account's first trail itself is free.
    trail_gb = usage.trail_gb * trail
    book.add("alarms", "the trail, taken in", "logs.ingest", trail_gb)
    book.add("alarms", "the trail, kept", "s3.storage", _kept(trail_gb / DAYS, settings.trail.days))


def _kept(daily_gb: float, days: int) -> float:
    """Return GB of a log that is kept so long; CloudWatch packs text to about 15 %."""
    return daily_gb * days * 0.15
