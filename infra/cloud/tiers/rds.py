"""The database as RDS for PostgreSQL: a server with a standby in another zone.

There are no replicas to read from: RDS makes none of a server whose password it keeps and rotates itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi_aws as aws

from infra.cloud.site import Site, Tier
from infra.cloud.tiers import postgres

if TYPE_CHECKING:
    import pulumi

    from infra.cloud.tiers.postgres import DatabaseArgs

ENGINE = "postgres"
# Aurora has no such settings: it writes no checkpoints.
PARAMETERS = {
    **postgres.PARAMETERS,
    # Blocks come in bursts while the chain is caught up with: fewer, larger checkpoints, in MB and seconds.
    "max_wal_size": "8192",
    "checkpoint_timeout": "900",
    "wal_compression": "lz4",
}
# The disk grows by itself up to so many times of what was asked for: a full one stops the database.
GROWTH = 4


class Rds(Tier):
    """A server and its standby; `writer` follows a failover, and `reader` is the same one."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        server = self._server(args)
        self.writer = server.address
        self.reader = self.writer
        self.port = server.port
        self.identifier = server.identifier
        self.arn: pulumi.Output[str] | None = server.arn
        self.admin_secret_arn: pulumi.Output[str] | None = server.master_user_secrets[0].secret_arn
        self.register_outputs({"writer": self.writer, "reader": self.reader, "identifier": self.identifier})

    def _parameters(self, site: Site) -> aws.rds.ParameterGroup:
        return aws.rds.ParameterGroup(
            "database",
            name=postgres.parameters_name(site),
            family=postgres.family(ENGINE, site.settings.database.version),
            description="What the indexer's workload asks of PostgreSQL",
            parameters=[
                aws.rds.ParameterGroupParameterArgs(name=name, value=value, apply_method=postgres.apply_method(name))
                for name, value in PARAMETERS.items()
            ],
            tags=site.tags("database"),
            opts=self.child(),
        )

    def _server(self, args: DatabaseArgs) -> aws.rds.Instance:
        site, settings = args.site, args.site.settings.database
        path = f"/aws/rds/instance/{site.name('database')}/postgresql"
        logs = postgres.log_group(self, args, "database", path)
        return aws.rds.Instance(
            "database",
            identifier=site.name("database"),
            engine=ENGINE,
            engine_version=settings.version,
            instance_class=settings.instance_class,
            parameter_group_name=self._parameters(site).name,
            vpc_security_group_ids=[args.security_group],
            allocated_storage=settings.storage_gb,
            max_allocated_storage=GROWTH * settings.storage_gb,
            storage_type="gp3",
            db_name=postgres.DATABASE,
            port=postgres.PORT,
            username=postgres.ADMIN,
            # RDS makes the password, keeps it as a secret and rotates it: it is in no program and in no state.
            manage_master_user_password=True,
            master_user_secret_kms_key_id=args.secrets_key,
            db_subnet_group_name=postgres.subnet_group(self, args).name,
            # A standby in another zone that every commit is on; where nothing is protected, nobody pays for it.
            multi_az=settings.protect,
            publicly_accessible=False,
            storage_encrypted=True,
            kms_key_id=args.data_key,
            backup_retention_period=settings.backup_days,
            backup_window=postgres.BACKUP_WINDOW,
            copy_tags_to_snapshot=True,
            deletion_protection=settings.protect,
            skip_final_snapshot=not settings.protect,
            final_snapshot_identifier=site.name("database-final") if settings.protect else None,
            # After a deletion by mistake, the snapshots of the last days are what there is.
            delete_automated_backups=not settings.protect,
            maintenance_window=postgres.MAINTENANCE_WINDOW,
            tags=site.tags("database"),
            opts=self.child(protect=settings.protect, depends_on=[logs]),
            **self._kept_up(args),
        )

    def _kept_up(self, args: DatabaseArgs) -> dict[str, Any]:
        """Return how it is looked into, and how it changes."""
        return {
            "performance_insights_enabled": True,
            "performance_insights_kms_key_id": args.data_key,
            "performance_insights_retention_period": postgres.INSIGHTS_DAYS,
            "monitoring_interval": postgres.MONITORING_SECONDS,
            "monitoring_role_arn": postgres.monitoring_role(self, args.site),
            "enabled_cloudwatch_logs_exports": ["postgresql"],
            # The version is the program's: an upgrade is planned, and rehearsed on staging.
            "auto_minor_version_upgrade": False,
            "allow_major_version_upgrade": True,
            # A change waits for nobody's window: who changes the program has chosen the hour.
            "apply_immediately": True,
        }
