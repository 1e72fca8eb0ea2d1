"""Ask AWS how every tier of an environment is, all at once; what cannot be asked has a row that says why."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runbooks.drivers import aws_groups as groups
from runbooks.drivers.aws import Aws, GoneError
from runbooks.drivers.aws_database import KINDS, ManagedDatabase
from runbooks.drivers.aws_power import alone
from runbooks.drivers.aws_switch import TargetGroupSwitch
from runbooks.drivers.operations import OperationStore
from runbooks.drivers.protocols import Refusal
from runbooks.infrastructure import cloud_rows, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.infrastructure.rows import Row

PARTS = ("api-blue", "api-green", "sync")


@dataclass(frozen=True, slots=True)
class _Looker:
    """Asks for one tier after the other; each method returns the tier's rows or raises Refusal."""

    environment: Environment
    aws: Aws
    switch: TargetGroupSwitch

    def balancer(self) -> list[Row]:
        name = self.switch.named("api")
        said = self.aws.call("elbv2", "describe_load_balancers", Names=[name])["LoadBalancers"][0]
        return [cloud_rows.balancer_row(said, self.switch.weights())]

    def groups(self) -> list[Row]:
        names = {self.aws.name(part): part for part in PARTS}
        found = groups.read(self.aws, list(names))
        lost = [
            rows.unknown(part.partition("-")[0], part, f"there is no group {name}; `pulumi up` makes it")
            for name, part in names.items()
            if name not in found
        ]
        weights = self._weights()
        return [
            *(
                cloud_rows.group_row(part, found[name], weights.get(part.rpartition("-")[2]) if "-" in part else None)
                for name, part in names.items()
                if name in found
            ),
            *lost,
        ]

    def _weights(self) -> Mapping[str, int]:
        try:
            return self.switch.weights()
        except Refusal:
            return {}  # the balancer's own row says why

    def database(self) -> list[Row]:
        driver = self.environment.drivers.get("failover")
        if driver is None or driver.kind not in KINDS:
            return []  # its hosts are among the others
        return cloud_rows.database_rows(ManagedDatabase(self.environment).servers(lags=True))

    def cache(self) -> list[Row]:
        name = self.aws.name("cache")
        said = self.aws.call("elasticache", "describe_replication_groups", ReplicationGroupId=name)
        return cloud_rows.cache_rows(said["ReplicationGroups"][0])

    def hosts(self) -> list[Row]:
        found = alone(self.aws)
        ids = [each["InstanceId"] for each, _ in found]
        checks = self._checks(ids) if ids else {}
        prefix = self.aws.name("")
        return [
            cloud_rows.host_row(
                tags.get("Name", each["InstanceId"]).removeprefix(prefix), each, checks.get(each["InstanceId"])
            )
            for each, tags in sorted(found, key=lambda host: host[1].get("Name", ""))
        ]

    def _checks(self, ids: list[str]) -> dict[str, Any]:
        said = self.aws.all(
            "ec2", "describe_instance_status", "InstanceStatuses", InstanceIds=ids, IncludeAllInstances=True
        )
        return {each["InstanceId"]: each for each in said}

    def volumes(self) -> list[Row]:
        filters = [
            {"Name": "tag:project", "Values": ["simplicity"]},
            {"Name": "tag:environment", "Values": [self.environment.name]},
        ]
        found = []
        for each in self.aws.all("ec2", "describe_volumes", "Volumes", Filters=filters):
            tags = {tag["Key"]: tag["Value"] for tag in each.get("Tags") or ()}
            name = tags.get("Name", each["VolumeId"]).removeprefix(self.aws.name(""))
            # Those of groups come and go with their hosts.
            if name not in PARTS:
                found.append(cloud_rows.volume_row(name, each))
        return sorted(found, key=lambda row: row.name)

    def certificates(self) -> list[Row]:
        domain = (self.environment.endpoints.api.partition("://")[2]).partition("/")[0].partition(":")[0]
        found = self.aws.all("acm", "list_certificates", "CertificateSummaryList")
        ours = [each["CertificateArn"] for each in found if each["DomainName"] == domain]
        if not ours:
            raise GoneError(f"there is no certificate for {domain} in {self.aws.region}")
        said = [self.aws.call("acm", "describe_certificate", CertificateArn=each)["Certificate"] for each in ours]
        return [cloud_rows.certificate_row(each, datetime.now(UTC)) for each in said]

    def alarms(self) -> list[Row]:
        prefix = self.aws.name("")
        found = self.aws.all("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix)
        return cloud_rows.alarm_rows(found, prefix)

    def budget(self) -> list[Row]:
        name = self.aws.name("month")
        account = self.aws.account or str(self.aws.call("sts", "get_caller_identity")["Account"])
        said = self.aws.call("budgets", "describe_budget", AccountId=account, BudgetName=name)["Budget"]
        return [cloud_rows.budget_row("month", said)]


def see(environment: Environment, directory: Path) -> list[Row]:
    """Return the rows of all tiers. Raises Refusal where AWS cannot be asked at all."""
    aws = Aws.of(environment)
    aws.call("sts", "get_caller_identity")  # one line about credentials, not one for each tier
    looker = _Looker(environment, aws, TargetGroupSwitch(environment, OperationStore(directory)))
    asks: dict[str, Callable[[], list[Row]]] = {
        "balancer": looker.balancer,
        "groups": looker.groups,
        "database": looker.database,
        "cache": looker.cache,
        "hosts": looker.hosts,
        "volumes": looker.volumes,
        "certificates": looker.certificates,
        "alarms": looker.alarms,
        "budget": looker.budget,
    }
    with ThreadPoolExecutor(len(asks)) as pool:
        return [row for found in pool.map(lambda tier: _asked(tier, asks[tier]), asks) for row in found]


def _asked(tier: str, ask: Callable[[], list[Row]]) -> list[Row]:
    try:
        return ask()
    except (Refusal, LookupError) as error:
        return [rows.unknown(tier, "-", str(error) or type(error).__name__)]
