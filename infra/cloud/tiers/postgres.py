"""What the choices of a database have in common: their inputs, and the parameters that the workload asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.cloud.site import Site, Tier

DATABASE, ADMIN, PORT = "simplicity", "simplicity_admin", 5432
# Backups are made at night in UTC, maintenance after them: one that fails is found with a fresh backup at hand.
BACKUP_WINDOW, MAINTENANCE_WINDOW = "02:00-03:00", "sun:04:00-sun:05:00"
MONITORING_SECONDS = 60
# A week is free; what is older is in Prometheus.
INSIGHTS_DAYS = 7
LOG_DAYS = 90
_MONITORING_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"

# In the units of PostgreSQL's own settings where a value has none.
PARAMETERS: dict[str, str] = {
    # Nobody talks to it in the clear, and no password is kept as MD5.
    "rds.force_ssl": "1",
    "password_encryption": "scram-sha-256",  # nosec B105 - an algorithm
    # Alerts and boards of the database read it.
    "shared_preload_libraries": "pg_stat_statements",
    "track_io_timing": "1",
    # What answer-slow-database looks for.
    "log_min_duration_statement": "500",
    "log_lock_waits": "1",
    "log_temp_files": "10240",
    "log_autovacuum_min_duration": "10000",
    # Who changed the schema, and when.
    "log_statement": "ddl",
    # A session that idles in a transaction keeps dead rows of all tables: five minutes are more than anything needs.
    "idle_in_transaction_session_timeout": "300000",
    # Tables only grow, by a block every ten minutes: a fifth of 100 million rows would be weeks without a vacuum, and
    # without the visibility map that index-only scans of the API live on.
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_insert_scale_factor": "0.02",
    "autovacuum_analyze_scale_factor": "0.01",
    # Flash: a random page costs about what the next one does.
    "random_page_cost": "1.1",
    # The API's largest sort is a page of 50 rows; the rest are reports by hand.
    "work_mem": "8192",
}
# RDS takes them from the next start only; said otherwise, each plan would want to change them again.
STATIC = frozenset({"shared_preload_libraries", "rds.force_ssl", "password_encryption"})


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """What a database needs: three subnets without a way out, who may reach it, the keys' ARNs.

    `image` and `profile` (an instance profile's name) are of Patroni's hosts alone.
    """

    site: Site
    subnets: Sequence[pulumi.Input[str]]
    security_group: pulumi.Input[str]
    data_key: pulumi.Input[str]
    logs_key: pulumi.Input[str]
    secrets_key: pulumi.Input[str]
    image: pulumi.Input[str] | None = None
    profile: pulumi.Input[str] | None = None


def family(engine: str, version: str) -> str:
    """Return the family of parameters: `aurora-postgresql17`."""
    return f"{engine}{major(version)}"


def major(version: str) -> str:
    """Return the major version: `17`."""
    return version.split(".", maxsplit=1)[0]


def parameters_name(site: Site) -> str:
    """Return the name of the group of parameters.

    An upgrade takes a group of the next version's family: under the same name it could not be made beside the old one,
    which is in use until then.
    """
    return site.name(f"database-{major(site.settings.database.version)}")


def apply_method(parameter: str) -> str:
    """Return when a parameter counts, as RDS says it."""
    return "pending-reboot" if parameter in STATIC else "immediate"


def subnet_group(tier: Tier, args: DatabaseArgs) -> aws.rds.SubnetGroup:
    """Say in which subnets servers stand."""
    return aws.rds.SubnetGroup(
        "database",
        name=args.site.name("database"),
        description="Subnets of the database, one a zone, without a way out",
        subnet_ids=list(args.subnets),
        tags=args.site.tags("database"),
        opts=tier.child(),
    )


def monitoring_role(tier: Tier, site: Site) -> pulumi.Output[str]:
    """Return the ARN of the role by which RDS writes its hosts' own figures to CloudWatch."""
    trusted = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["sts:AssumeRole"],
                "Principal": {"Service": "monitoring.rds.amazonaws.com"},
                # Only for this account: another's RDS cannot be made to use our role.
                "Condition": {"StringEquals": {"aws:SourceAccount": site.account}},
            }
        ],
    }
    role = aws.iam.Role(
        "database-monitoring",
        name=site.name("database-monitoring"),
        description="RDS writes the figures of the database's hosts",
        assume_role_policy=pulumi.Output.json_dumps(trusted),
        permissions_boundary=site.boundary,
        tags=site.tags("database-monitoring"),
        opts=tier.child(),
    )
    attached = aws.iam.RolePolicyAttachment(
        "database-monitoring", role=role.name, policy_arn=_MONITORING_POLICY, opts=tier.child()
    )
    # RDS looks at once whether it may write: a server waits for that, not for the role alone.
    return pulumi.Output.all(role.arn, attached.policy_arn).apply(lambda both: str(both[0]))


def log_group(tier: Tier, args: DatabaseArgs, name: str, path: str) -> aws.cloudwatch.LogGroup:
    """Make a group of logs before RDS does: its own is kept for ever, and not under our key."""
    return aws.cloudwatch.LogGroup(
        name,
        name=path,
        retention_in_days=LOG_DAYS,
        kms_key_id=args.logs_key,
        tags=args.site.tags(name),
        opts=tier.child(),
    )
