"""The Environment document of a stack, and the stack's outputs that it is made of: names and addresses, no secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pulumi

from infra import environment as document
from infra.cloud.tiers import secrets
from infra.cloud.tiers.network import subnets

if TYPE_CHECKING:
    from infra.cloud.settings import Settings
    from infra.cloud.site import Site
    from infra.cloud.tiers.alarms import Alarms
    from infra.cloud.tiers.backups import Backups
    from infra.cloud.tiers.balancer import Balancer
    from infra.cloud.tiers.cache import Cache
    from infra.cloud.tiers.database import Database
    from infra.cloud.tiers.indexers import Indexers
    from infra.cloud.tiers.monitoring import Monitoring
    from infra.cloud.tiers.node import Node
    from infra.cloud.tiers.sessions import Sessions

DATABASE, WRITER, READER = "simplicity", "simplicity_sync", "simplicity_api"
# On the control node. The public key of who builds releases: what builds has the other half.
CONTROL = "/etc/simplicity"
TRUSTED = f"{CONTROL}/release_signing_key.pub"
PRODUCTION = "production"
ALERTMANAGER_PORT, NODE_USER = 9093, "simplicity"
SYNC_SERIES = '{job="sync"}'
# Amazon's own authorities, which sign the certificates of its databases and no others.
AUTHORITIES = "https://truststore.pki.rds.amazonaws.com/{region}/{region}-bundle.pem"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What only AWS could tell: addresses and names, known once the stack is up."""

    account: str
    backups: str
    sessions: str
    database_identifier: str
    database_admin_secret: str | None
    database_writer: str
    database_port: int
    database_addresses: tuple[str, ...]
    cache_host: str
    cache_port: int
    node_url: str
    node_address: str | None
    prometheus_url: str
    monitoring_address: str


def outputs(  # noqa: PLR0913, PLR0917 - the tiers
    site: Site,
    alarms: Alarms,
    backups: Backups,
    balancer: Balancer,
    cache: Cache,
    database: Database,
    indexers: Indexers,
    monitoring: Monitoring,
    node: Node,
    sessions: Sessions,
) -> dict[str, pulumi.Output[Any]]:
    """Return the stack's outputs: the document, and what people look for."""
    facts = pulumi.Output.all(
        backups=backups.bucket,
        sessions=sessions.bucket,
        database_identifier=database.identifier,
        database_admin_secret=database.admin_secret_arn,
        database_writer=database.writer,
        database_port=database.port,
        database_addresses=pulumi.Output.all(*database.addresses),
        cache_host=cache.host,
        cache_port=cache.port,
        node_url=node.url,
        node_address=node.address,
        prometheus_url=monitoring.prometheus_url,
        monitoring_address=monitoring.address,
    )
    return {
        "environment": facts.apply(lambda found: _written(site, found)),
        "api": pulumi.Output.from_input(f"https://{site.settings.names.domain}"),
        "balancer": balancer.dns_name,
        "groups": pulumi.Output.all(**indexers.groups),
        "alarms": alarms.topic_arn,
        "database": database.identifier,
    }


def document_of(settings: Settings, facts: Facts) -> document.Environment:
    """Describe a stack; the writer, the live colour and who is in a group are asked of its drivers."""
    hosts = {"monitoring": _hosts("monitoring", (facts.monitoring_address,))}
    if facts.node_address is not None:
        hosts["node"] = _hosts("node", (facts.node_address,))
    if facts.database_addresses:
        hosts["database"] = _hosts("database", facts.database_addresses)
    return document.Environment(
        name=settings.environment,
        place="cloud",
        network=settings.chain,
        start_height=settings.start_height,
        endpoints=document.Endpoints(
            api=f"https://{settings.names.domain}",
            # Its hosts come and go and have no name; Prometheus has asked all of them a moment ago.
            sync_metrics=f"{facts.prometheus_url}/federate?{urlencode({'match[]': SYNC_SERIES})}",
            node_rpc=facts.node_url,
            prometheus=facts.prometheus_url,
            database=document.Database(
                host=facts.database_writer,
                port=facts.database_port,
                name=DATABASE,
                writer_role=WRITER,
                reader_role=READER,
            ),
            cache=f"rediss://{facts.cache_host}:{facts.cache_port}",
            alertmanager=f"https://{facts.monitoring_address}:{ALERTMANAGER_PORT}",
        ),
        hosts=hosts,
        secrets={
            name: document.SecretReference(source="store", name=secrets.path(settings, name))
            for name in secrets.names(settings)
        },
        metrics=document.MetricSource(
            kind="prometheus", url=facts.prometheus_url, labels={"cluster": settings.environment}
        ),
        drivers=_drivers(settings, facts),
    )


def _drivers(settings: Settings, facts: Facts) -> dict[str, document.Driver]:
    here = f"{CONTROL}/{settings.environment}"
    # Only there is the balancer: what comes from anywhere else names its clients as it likes.
    balancer = " ".join(subnets(settings.network.cidr)[0])
    return {
        "aws": document.Driver(kind="aws", settings={"region": settings.region, "account": facts.account}),
        "hosts": document.Driver(kind="ssm", settings={"region": settings.region, "bucket": facts.sessions}),
        "certificates": document.Driver(kind="private", settings={"directory": f"{here}/pki"}),
        "overrides": document.Driver(kind="file", settings={"file": f"{here}/overrides.yaml"}),
        "node": document.Driver(kind="rpc", settings=_node(settings)),
        "traffic_switch": document.Driver(kind="target-groups", settings={"networks": balancer}),
        "scaler": document.Driver(kind="autoscaling"),
        **_of_database(settings, facts, here),
        "secrets": document.Driver(kind="secretsmanager"),
        **_stoppable(settings.environment),
        "deploy": document.Driver(kind="blue-green", settings=_deploying(settings.environment)),
    }


def _of_database(settings: Settings, facts: Facts, here: str) -> dict[str, document.Driver]:
    """Return what fails the database over, what backs it up, and who signs its certificates where it is Amazon's."""
    kind, region = settings.database.kind, settings.region
    if kind == "patroni":
        store = {
            "host": f"s3.{region}.amazonaws.com",
            "port": "443",
            "bucket": facts.backups,
            "region": region,
            "stanza": settings.environment,
            # The hosts' role opens it, there is no key.
            "access": "role",
        }
        return {
            "failover": document.Driver(kind=kind),
            "backup": document.Driver(kind="pgbackrest", settings=store),
        }
    known = {"identifier": facts.database_identifier}
    admin = {} if facts.database_admin_secret is None else {"admin_secret": facts.database_admin_secret}
    signed = {"file": f"{here}/rds-ca.pem", "url": AUTHORITIES.format(region=region)}
    sha256 = settings.database.authorities_sha256
    return {
        "failover": document.Driver(kind=kind, settings={**known, **admin}),
        "backup": document.Driver(kind=kind, settings=known),
        "database_authorities": document.Driver(
            kind="bundle", settings={**signed, **({"sha256": sha256} if sha256 else {})}
        ),
    }


def _node(settings: Settings) -> dict[str, str]:
    """Return how the node is spoken to, and that it is somebody else's where it is."""
    owner = {"owner": "external"} if settings.node.kind == "external" else {}
    return {"user": NODE_USER, "secret": "node_rpc_password", **owner}  # nosec B105 - the name of a secret


def _stoppable(environment: str) -> dict[str, document.Driver]:
    """Return the driver that stops an environment for the night; there is none for what clients use."""
    return {} if environment.startswith(PRODUCTION) else {"power": document.Driver(kind="schedule")}


def _deploying(environment: str) -> dict[str, str]:
    """Return whose releases are taken; what is production takes only what staging has run."""
    return {"trusted": TRUSTED, **({"after": "staging"} if environment.startswith(PRODUCTION) else {})}


def _hosts(part: str, addresses: tuple[str, ...]) -> tuple[document.Host, ...]:
    if len(addresses) == 1:
        return (document.Host(name=part, address=addresses[0]),)
    return tuple(document.Host(name=f"{part}-{n}", address=each) for n, each in enumerate(addresses, 1))


def _written(site: Site, found: dict[str, Any]) -> dict[str, Any]:
    facts = Facts(
        account=site.account,
        **{**found, "database_port": int(found["database_port"]), "cache_port": int(found["cache_port"])}
        | {"database_addresses": tuple(found["database_addresses"])},
    )
    return document_of(site.settings, facts).model_dump(mode="json")
