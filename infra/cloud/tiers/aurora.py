"""The database as Aurora PostgreSQL: a writer and readers in three zones over storage of six copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.cloud.site import Site, Tier
from infra.cloud.tiers import postgres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.cloud.tiers.postgres import DatabaseArgs

ENGINE = "aurora-postgresql"
# Readers that come by themselves when those named here are busy, and go again.
MORE_READERS, BUSY_PERCENT, CALM_SECONDS = 2, 60.0, 600


class Aurora(Tier):
    """An Aurora cluster; `writer` and `reader` are endpoints that follow a failover."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site, settings = args.site, args.site.settings.database
        role = postgres.monitoring_role(self, site)
        logs = postgres.log_group(self, args, "database", f"/aws/rds/cluster/{site.name('database')}/postgresql")
        cluster = self._cluster(args, logs)
        servers: list[aws.rds.ClusterInstance] = []
        while len(servers) <= settings.readers:
            servers.append(self._server(args, cluster, role, servers))
        if settings.readers:
            self._scale_readers(site, cluster, servers)
        self.writer = cluster.endpoint
        # Without readers this endpoint leads to the writer.
        self.reader = cluster.reader_endpoint
        self.port = cluster.port
        self.identifier = cluster.cluster_identifier
        self.arn: pulumi.Output[str] | None = cluster.arn
        self.admin_secret_arn: pulumi.Output[str] | None = cluster.master_user_secrets[0].secret_arn
        self.register_outputs({"writer": self.writer, "reader": self.reader, "identifier": self.identifier})

    def _cluster(self, args: DatabaseArgs, logs: aws.cloudwatch.LogGroup) -> aws.rds.Cluster:
        site, settings = args.site, args.site.settings.database
        return aws.rds.Cluster(
            "database",
            cluster_identifier=site.name("database"),
            engine=ENGINE,
            engine_version=settings.version,
            database_name=postgres.DATABASE,
            port=postgres.PORT,
            master_username=postgres.ADMIN,
            # RDS makes the password, keeps it as a secret and rotates it: it is in no program and in no state.
            manage_master_user_password=True,
            master_user_secret_kms_key_id=args.secrets_key,
            db_subnet_group_name=postgres.subnet_group(self, args).name,
            db_cluster_parameter_group_name=self._parameters(site).name,
            vpc_security_group_ids=[args.security_group],
            storage_encrypted=True,
            kms_key_id=args.data_key,
            backup_retention_period=settings.backup_days,
            preferred_backup_window=postgres.BACKUP_WINDOW,
            preferred_maintenance_window=postgres.MAINTENANCE_WINDOW,
            copy_tags_to_snapshot=True,
            deletion_protection=settings.protect,
            skip_final_snapshot=not settings.protect,
            final_snapshot_identifier=site.name("database-final") if settings.protect else None,
            enabled_cloudwatch_logs_exports=["postgresql"],
            allow_major_version_upgrade=True,
            # A change waits for nobody's window: who changes the program has chosen the hour.
            apply_immediately=True,
            tags=site.tags("database"),
            opts=self.child(protect=settings.protect, depends_on=[logs]),
        )

    def _parameters(self, site: Site) -> aws.rds.ClusterParameterGroup:
        return aws.rds.ClusterParameterGroup(
            "database",
            name=postgres.parameters_name(site),
            family=postgres.family(ENGINE, site.settings.database.version),
            description="What the indexer's workload asks of PostgreSQL",
            parameters=[
                aws.rds.ClusterParameterGroupParameterArgs(
                    name=name, value=value, apply_method=postgres.apply_method(name)
                )
                for name, value in postgres.PARAMETERS.items()
            ],
            tags=site.tags("database"),
            opts=self.child(),
        )

    def _server(
        self,
        args: DatabaseArgs,
        cluster: aws.rds.Cluster,
        role: pulumi.Output[str],
        others: Sequence[aws.rds.ClusterInstance],
    ) -> aws.rds.ClusterInstance:
        site, settings, number = args.site, args.site.settings.database, len(others)
        return aws.rds.ClusterInstance(
            f"database-{number + 1}",
            identifier=site.name(f"database-{number + 1}"),
            cluster_identifier=cluster.cluster_identifier,
            engine=aws.rds.EngineType.AURORA_POSTGRESQL,
            instance_class=settings.instance_class,
            # One zone's outage leaves two of three servers.
            availability_zone=site.zones[number % len(site.zones)],
            # The first two are alike to a failover; later ones follow only if both are gone.
            promotion_tier=max(number - 1, 0),
            publicly_accessible=False,
            # The version is the program's: an upgrade is planned, and rehearsed on staging.
            auto_minor_version_upgrade=False,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.data_key,
            performance_insights_retention_period=postgres.INSIGHTS_DAYS,
            monitoring_interval=postgres.MONITORING_SECONDS,
            monitoring_role_arn=role,
            copy_tags_to_snapshot=True,
            apply_immediately=True,
            tags=site.tags(f"database-{number + 1}"),
            # One after the other: the first one made is the writer, and a change that restarts servers never has all
            # of them away at once.
            opts=self.child(depends_on=list(others[-1:])),
        )

    def _scale_readers(self, site: Site, cluster: aws.rds.Cluster, servers: Sequence[aws.rds.ClusterInstance]) -> None:
        settings = site.settings.database
        target = aws.appautoscaling.Target(
            "database-readers",
            service_namespace="rds",
            scalable_dimension="rds:cluster:ReadReplicaCount",
            resource_id=pulumi.Output.concat("cluster:", cluster.cluster_identifier),
            min_capacity=settings.readers,
            max_capacity=settings.readers + MORE_READERS,
            tags=site.tags("database-readers"),
            # Before its least number of readers is there, it would make other ones.
            opts=self.child(depends_on=list(servers)),
        )
        aws.appautoscaling.Policy(
            "database-readers",
            name=site.name("database-readers"),
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                predefined_metric_specification=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs(
                    predefined_metric_type="RDSReaderAverageCPUUtilization"
                ),
                target_value=BUSY_PERCENT,
                # A reader takes minutes to come: it stays for a while, so that the next wave finds it.
                scale_in_cooldown=CALM_SECONDS,
                scale_out_cooldown=60,
            ),
            opts=self.child(),
        )
