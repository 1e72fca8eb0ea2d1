"""The cache: Valkey, which answers are kept in and rates are counted in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi_aws as aws

from infra.cloud.site import Tier

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

    from infra.cloud.site import Site

PORT = 6379
MAJOR = "8"
VERSION, FAMILY = f"{MAJOR}.1", f"valkey{MAJOR}"
PARAMETERS = {
    # What is full forgets what was not asked for longest: it is a cache, and an error would be the API's.
    "maxmemory-policy": "allkeys-lru",
    # A client that is gone without a word keeps its connection for ever otherwise, in seconds.
    "timeout": "600",
    "tcp-keepalive": "60",
}


@dataclass(frozen=True, kw_only=True)
class CacheArgs:
    """What the cache needs: subnets without a way out, who may reach it, the key's ARN."""

    site: Site
    subnets: Sequence[pulumi.Input[str]]
    security_group: pulumi.Input[str]
    data_key: pulumi.Input[str]


class Cache(Tier):
    """A primary, and replicas in other zones; `host` follows a failover.

    The password of its clients is set after it was made, by `simplicity infrastructure fill-secrets` from the secret
    `cache_password`: in the program it would be in the state. A plan does not see it. There is one user, who may do
    everything, so what watches the cache has no password of its own.
    """

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        group = self._group(args)
        self.host = group.primary_endpoint_address
        self.port = group.port.apply(lambda port: port or PORT)
        self.identifier = group.replication_group_id
        self.register_outputs({"host": self.host, "identifier": self.identifier})

    def _group(self, args: CacheArgs) -> aws.elasticache.ReplicationGroup:
        site, settings = args.site, args.site.settings.cache
        # With one node there is nobody to fail over to, and AWS refuses it.
        follows = settings.replicas > 0
        return aws.elasticache.ReplicationGroup(
            "cache",
            replication_group_id=site.name("cache"),
            description="Cache and rate limits of the API",
            engine="valkey",
            engine_version=VERSION,
            node_type=settings.node_type,
            num_cache_clusters=1 + settings.replicas,
            automatic_failover_enabled=follows,
            multi_az_enabled=follows,
            port=PORT,
            parameter_group_name=self._parameters(site).name,
            subnet_group_name=self._subnets(args).name,
            security_group_ids=[args.security_group],
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=args.data_key,
            # Nothing in it has to outlast a restart: rate limits refill, and what is cached can be read again. A
            # snapshot would cost memory while it is written, and lie around with the data of clients in it.
            snapshot_retention_limit=0,
            maintenance_window="sun:05:30-sun:06:30",
            # The version is the program's: an upgrade is planned, and rehearsed on staging.
            auto_minor_version_upgrade=False,
            apply_immediately=True,
            tags=site.tags("cache"),
            opts=self.child(),
        )

    def _parameters(self, site: Site) -> aws.elasticache.ParameterGroup:
        return aws.elasticache.ParameterGroup(
            "cache",
            # An upgrade takes a group of the next family, beside the old one, which is in use until then.
            name=site.name(f"cache-{MAJOR}"),
            family=FAMILY,
            description="What the API asks of its cache",
            parameters=[
                aws.elasticache.ParameterGroupParameterArgs(name=name, value=value)
                for name, value in PARAMETERS.items()
            ],
            tags=site.tags("cache"),
            opts=self.child(),
        )

    def _subnets(self, args: CacheArgs) -> aws.elasticache.SubnetGroup:
        return aws.elasticache.SubnetGroup(
            "cache",
            name=args.site.name("cache"),
            description="Subnets of the cache, one a zone, without a way out",
            subnet_ids=list(args.subnets),
            tags=args.site.tags("cache"),
            opts=self.child(),
        )
