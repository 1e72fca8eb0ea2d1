"""The program: what a stack is made of, tier by tier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.cloud.document import outputs
from infra.cloud.settings import ZONES
from infra.cloud.site import Site
from infra.cloud.tiers.access import Access, AccessArgs
from infra.cloud.tiers.alarms import Alarms, AlarmsArgs
from infra.cloud.tiers.backups import Backups, BackupsArgs
from infra.cloud.tiers.balancer import Balancer, BalancerArgs
from infra.cloud.tiers.budgets import Budget, BudgetArgs
from infra.cloud.tiers.cache import Cache, CacheArgs
from infra.cloud.tiers.certificate import Certificate, CertificateArgs
from infra.cloud.tiers.database import Database, DatabaseArgs
from infra.cloud.tiers.endpoints import Endpoints, EndpointsArgs
from infra.cloud.tiers.firewall import Firewall, FirewallArgs
from infra.cloud.tiers.grafana import Grafana, GrafanaArgs
from infra.cloud.tiers.indexers import Indexers, IndexersArgs
from infra.cloud.tiers.keys import Keys, KeysArgs
from infra.cloud.tiers.monitoring import Monitoring, MonitoringArgs
from infra.cloud.tiers.names import Names, NamesArgs, Zone, ZoneArgs
from infra.cloud.tiers.network import Network, NetworkArgs
from infra.cloud.tiers.node import Node, NodeArgs
from infra.cloud.tiers.pipelines import bounded
from infra.cloud.tiers.secrets import Secrets, SecretsArgs
from infra.cloud.tiers.sessions import Sessions, SessionsArgs
from infra.cloud.tiers.snapshots import Snapshots, SnapshotsArgs
from infra.cloud.tiers.trail import Trail, TrailArgs

if TYPE_CHECKING:
    from infra.cloud.settings import Settings

# Zone that lacks most types of hosts, and no other in its region does: what is made there fails in the middle.
LACKING = "use1-az3"
# Debian's own account and its name of images for Arm; source: wiki.debian.org/Cloud/AmazonEC2Image.
DEBIAN, IMAGES = "136693071363", "debian-13-arm64-*"


def build(settings: Settings) -> None:
    """Declare everything of a stack and export its Environment document."""
    site, image = survey(settings)
    site, pipelines = bounded(site)
    keys = Keys("keys", KeysArgs(site=site))
    network = Network("network", NetworkArgs(site=site, logs_key=keys.logs))
    groups = Firewall(
        "firewall",
        FirewallArgs(site=site, vpc_id=network.vpc_id, vpc_cidr=network.vpc_cidr, private_cidrs=network.private_cidrs),
    ).groups
    Endpoints(
        "endpoints",
        EndpointsArgs(
            site=site,
            vpc_id=network.vpc_id,
            subnets=network.private_subnets,
            tables=(*network.private_tables, *network.data_tables),
            group=groups["endpoints"],
        ),
    )
    secrets = Secrets("secrets", SecretsArgs(site=site, key=keys.secrets))
    sessions = Sessions("sessions", SessionsArgs(site=site, key=keys.secrets))
    backups = Backups("backups", BackupsArgs(site=site, key=keys.backups))
    access = Access(
        "access",
        AccessArgs(
            site=site,
            secrets=secrets.arns,
            secrets_key=keys.secrets,
            backups=backups.arn,
            backups_key=keys.backups,
        ),
    )
    database = Database(
        "database",
        DatabaseArgs(
            site=site,
            subnets=network.data_subnets,
            security_group=groups["database"],
            data_key=keys.data,
            logs_key=keys.logs,
            secrets_key=keys.secrets,
            image=image,
            profile=access.profiles.get("patroni"),
        ),
    )
    if database.arn is not None:
        Snapshots(
            "snapshots",
            SnapshotsArgs(
                site=site,
                database=database.arn,
                data_key=keys.data,
                key=keys.backups,
                replica_key=backups.replica_key,
            ),
        )
    cache = Cache(
        "cache",
        CacheArgs(site=site, subnets=network.data_subnets, security_group=groups["cache"], data_key=keys.data),
    )
    zone = Zone("zone", ZoneArgs(site=site))
    certificate = Certificate("certificate", CertificateArgs(site=site, zone_id=zone.zone_id))
    balancer = Balancer(
        "balancer",
        BalancerArgs(
            site=site,
            vpc_id=network.vpc_id,
            subnets=network.public_subnets,
            group=groups["balancer"],
            certificate=certificate.arn,
            logs_key=keys.logs,
        ),
        # AWS makes no balancer for clients in a network that has no way to the internet yet.
        pulumi.ResourceOptions(depends_on=[network]),
    )
    Names(
        "names",
        NamesArgs(site=site, zone_id=zone.zone_id, balancer_name=balancer.dns_name, balancer_zone=balancer.zone_id),
    )
    node = Node(
        "node",
        NodeArgs(
            site=site,
            image=image,
            subnets=network.private_subnets,
            group=groups["node"],
            profile=access.profiles.get("node"),
            key=keys.data,
        ),
    )
    indexers = Indexers(
        "indexers",
        IndexersArgs(
            site=site,
            image=image,
            subnets=network.private_subnets,
            api_group=groups["api"],
            sync_group=groups["sync"],
            profiles=access.profiles,
            key=keys.data,
            target_groups=balancer.target_groups,
            labels={
                colour: pulumi.Output.concat(balancer.arn_suffix, "/", suffix)
                for colour, suffix in balancer.target_group_suffixes.items()
            },
        ),
        # A group is scaled by the requests of a target group only once that one hangs at a listener.
        pulumi.ResourceOptions(depends_on=[balancer]),
    )
    monitoring = Monitoring(
        "monitoring",
        MonitoringArgs(
            site=site,
            image=image,
            subnets=network.private_subnets,
            group=groups["monitoring"],
            role=access.roles["monitoring"],
            profile=access.profiles["monitoring"],
            data_key=keys.data,
            logs_key=keys.logs,
        ),
    )
    if settings.grafana.kind == "managed" and monitoring.store_arn is not None:
        grafana = Grafana("grafana", GrafanaArgs(site=site, store=monitoring.store_arn, key=keys.data))
        pulumi.export("grafana", grafana.url)
    alarms = Alarms(
        "alarms",
        AlarmsArgs(
            site=site,
            key=keys.logs,
            balancer_suffix=balancer.arn_suffix,
            target_group_suffixes=balancer.target_group_suffixes,
            web_acl_metric=balancer.web_acl_metric,
            database=database.identifier,
            monitoring=monitoring.identifier,
        ),
    )
    if settings.trail.kind == "account":
        Trail("trail", TrailArgs(site=site, key=keys.logs, topic=alarms.topic_arn))
    Budget("budget", BudgetArgs(site=site))
    pulumi.export("name_servers", zone.servers)
    pulumi.export("pipelines", pipelines)
    told = outputs(site, alarms, backups, balancer, cache, database, indexers, monitoring, node, sessions)
    for name, value in told.items():
        pulumi.export(name, value)


def survey(settings: Settings) -> tuple[Site, pulumi.Output[str]]:
    """Ask AWS whose account this is, which zones it has and which image is Debian's newest.

    Raises pulumi.RunError where it is another account than the settings', or one with too few zones.
    """
    here = pulumi.InvokeOptions()
    account = aws.get_caller_identity(opts=here).account_id
    if settings.account not in (None, account):
        raise pulumi.RunError(f"these are credentials of account {account}; simplicity:account is {settings.account}")
    site = Site(settings, account, settings.region, _zones(settings))
    if settings.image is not None:
        return site, pulumi.Output.from_input(settings.image)
    newest = aws.ec2.get_ami_output(
        most_recent=True,
        owners=[DEBIAN],
        filters=[aws.ec2.GetAmiFilterArgs(name="name", values=[IMAGES])],
        region=settings.region,
    )
    return site, newest.id


def _zones(settings: Settings) -> tuple[str, ...]:
    """Return the settings' zones, or the first three by name; raises pulumi.RunError where one is not there.

    Not those that are well at the moment: an outage would then move subnets, and a database, to other zones.
    """
    found = aws.get_availability_zones(
        # Local zones, which sort before the region's own where there are, have to be opted in to.
        filters=[aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])],
        exclude_zone_ids=[LACKING],
        region=settings.region,
    )
    there = sorted(found.names)
    if settings.network.zones is not None:
        for each in settings.network.zones:
            if each not in there:
                raise pulumi.RunError(f"simplicity:network.zones: {each} cannot be used; it can be {', '.join(there)}")
        return settings.network.zones
    if len(there) < ZONES:
        raise pulumi.RunError(f"{settings.region} has {len(there)} availability zones, {ZONES} are needed")
    return tuple(there[:ZONES])
