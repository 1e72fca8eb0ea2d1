"""A stack's settings: typed, and checked before anything is planned, with one line for each mistake."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from infra.cloud.choices import GrafanaSettings, PipelineSettings, TrailSettings
from infra.cloud.choices import Part as _Part

_NAME = r"^[a-z][a-z0-9-]{1,19}$"
_INSTANCE = r"^[a-z][a-z0-9-]*\.[a-z0-9]+$"
_CLASS = r"^db\.[a-z][a-z0-9]*\.[a-z0-9]+$"
_DOMAIN = r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$"
_REGION = r"^[a-z]{2}-[a-z]+-\d$"
_TAG = r"^[A-Za-z0-9 _.:/=+@-]{1,256}$"
_ZONE = r"^[a-z]{2}-[a-z]+-\d[a-z]$"
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
ZONES = 3
# All that CloudWatch takes; source: PutRetentionPolicy in the reference of CloudWatch Logs' API.
RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1_096, 1_827, 2_192, 2_557, 2_922, 3_288, 3_653),
)


def _retention(value: int) -> int:
    if value not in RETENTIONS:
        raise ValueError(f"CloudWatch keeps logs for one of these: {', '.join(map(str, RETENTIONS))} days")
    return value


RetentionDays = Annotated[int, AfterValidator(_retention)]


class SettingsError(Exception):
    """The configuration cannot be used; `lines` has one for each mistake."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class NetworkSettings(_Part):
    """The addresses, and how private hosts reach the outside."""

    cidr: str = "10.20.0.0/16"
    zones: tuple[str, ...] | None = Field(default=None, description="none: the first three by name")
    # Each zone costs a gateway; with one, its zone's outage takes the others' way out with it.
    nat: Literal["one", "each-zone"] = "each-zone"
    flow_log_days: RetentionDays = 90

    @field_validator("cidr")
    @classmethod
    def _is_a_network(cls, value: str) -> str:
        network = IPv4Network(value)
        if network.prefixlen != 16 or not network.is_private:  # noqa: PLR2004 - nine subnets of /20
            raise ValueError("has to be a private network of /16, as 10.20.0.0/16")
        return value

    @field_validator("zones")
    @classmethod
    def _are_three_zones(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and (len(set(value)) != len(value) or len(value) != ZONES):
            raise ValueError(f"has to be {ZONES} different zones, as us-east-1a, us-east-1b, us-east-1c")
        for each in value or ():
            if not re.fullmatch(_ZONE, each):
                raise ValueError(f"{each} is no name of a zone, as us-east-1a is")
        return value


class DatabaseSettings(_Part):
    """The database: Aurora, RDS, or PostgreSQL with Patroni on hosts of our own."""

    kind: Literal["aurora", "rds", "patroni"] = "aurora"
    version: str = Field(default="17.6", pattern=r"^1[78]\.\d+$")
    instance_class: str = Field(default="db.r7g.xlarge", pattern=_CLASS)
    readers: int = Field(default=2, ge=0, le=5)
    storage_gb: int = Field(default=500, ge=20, le=16_000)  # of RDS and Patroni: Aurora grows by itself
    backup_days: int = Field(default=35, ge=1, le=35)
    authorities_sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="of Amazon's authorities of the region; none: as served"
    )
    protect: bool = True


class CacheSettings(_Part):
    """The cache and rate limiter's store."""

    node_type: str = Field(default="cache.t4g.small", pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")
    replicas: int = Field(default=1, ge=0, le=5)


class ApiSettings(_Part):
    """The hosts that answer clients, in two colours of which one is live."""

    instance_type: str = Field(default="c7g.large", pattern=_INSTANCE)
    minimum: int = Field(default=2, ge=1, le=50)
    maximum: int = Field(default=10, ge=1, le=50)
    warm: int = Field(default=1, ge=0, le=10)
    # What one host carries with room to spare: measured by the load tests.
    requests_per_host: int = Field(default=400, ge=1, description="requests a second at which another host is added")
    live: Literal["blue", "green"] = "blue"

    @model_validator(mode="after")
    def _in_order(self) -> ApiSettings:
        if self.minimum > self.maximum:
            raise ValueError("minimum is above maximum")
        return self


class SyncSettings(_Part):
    """The hosts that follow the chain: one writes, the others stand by."""

    instance_type: str = Field(default="c7g.xlarge", pattern=_INSTANCE)
    hosts: int = Field(default=2, ge=1, le=4)


class NodeSettings(_Part):
    """The Bitcoin node: a host of ours, or somebody's endpoint."""

    kind: Literal["host", "external"] = "host"
    instance_type: str = Field(default="m7g.large", pattern=_INSTANCE)
    volume_gb: int = Field(default=1_200, ge=20, le=16_000)
    url: str | None = Field(default=None, pattern=r"^https?://[^@\s]+$")

    @model_validator(mode="after")
    def _external_has_an_address(self) -> NodeSettings:
        if (self.kind == "external") != (self.url is not None):
            raise ValueError("kind external needs url, kind host has none")
        return self


class BalancerSettings(_Part):
    """What clients reach."""

    allowed: tuple[str, ...] = ("0.0.0.0/0",)
    requests_per_address: int = Field(default=2_000, ge=100, description="in five minutes; WAF blocks beyond")
    log_days: RetentionDays = 90

    @field_validator("allowed")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            IPv4Network(each)
        return value


class MonitoringSettings(_Part):
    """Prometheus and Grafana: on hosts of ours, or Amazon's."""

    kind: Literal["hosts", "managed"] = "hosts"
    instance_type: str = Field(default="t4g.large", pattern=_INSTANCE)
    volume_gb: int = Field(default=200, ge=20, le=4_000)
    email: str = Field(pattern=_EMAIL)
    budget_usd: int = Field(ge=1, description="a month")


class BackupSettings(_Part):
    """Where backups lie and for how long nobody can delete them."""

    replica_region: str = Field(pattern=_REGION)
    lock_days: int = Field(default=35, ge=1, le=365)


class NamesSettings(_Part):
    """The public name and this region's share of its clients."""

    domain: str = Field(pattern=_DOMAIN)
    zone_id: str | None = Field(default=None, pattern=r"^Z[A-Z0-9]+$", description="the hosted zone; none: made here")
    share: int = Field(default=100, ge=0, le=255)
    # One region alone answers; the others are there for its failure.
    failover: Literal["none", "primary", "secondary"] = "none"


class Settings(_Part):
    """All of a stack's settings; `region` is `aws:region`, the others are `simplicity:*`."""

    environment: str = Field(pattern=_NAME)
    region: str = Field(pattern=_REGION)
    account: str | None = Field(default=None, pattern=r"^\d{12}$", description="refuse any other account")
    owner: str = Field(pattern=_TAG)
    cost_center: str = Field(pattern=_TAG)
    chain: Literal["main", "test", "signet", "regtest"] = "main"
    start_height: int = Field(default=779_832, ge=0)
    image: str | None = Field(default=None, pattern=r"^ami-[0-9a-f]{8,17}$", description="none: Debian's newest")
    network: NetworkSettings = NetworkSettings()
    database: DatabaseSettings = DatabaseSettings()
    cache: CacheSettings = CacheSettings()
    api: ApiSettings = ApiSettings()
    sync: SyncSettings = SyncSettings()
    node: NodeSettings = NodeSettings()
    balancer: BalancerSettings = BalancerSettings()
    monitoring: MonitoringSettings
    grafana: GrafanaSettings = GrafanaSettings()
    trail: TrailSettings = TrailSettings()
    pipelines: PipelineSettings = PipelineSettings()
    backups: BackupSettings
    names: NamesSettings

    @field_validator("environment")
    @classmethod
    def _can_name_everything(cls, value: str) -> str:
        """Refuse what the database, the cache and the balancer would refuse in their names, minutes later."""
        if "--" in value or value.endswith("-"):
            raise ValueError("has to have no two hyphens in a row and none at its end")
        if value.startswith("internal"):
            raise ValueError("must not begin with internal: a balancer's name cannot")
        return value

    @model_validator(mode="after")
    def _hangs_together(self) -> Settings:
        for zone in self.network.zones or ():
            if zone[:-1] != self.region:
                raise ValueError(f"network.zones: {zone} is not in {self.region}")
        if self.database.kind == "rds" and self.database.readers:
            why = "AWS copies no server whose password it keeps; aurora has some"
            raise ValueError(f"database.readers has to be 0 with kind rds: {why}")
        if self.grafana.kind == "managed" and self.monitoring.kind == "hosts":
            raise ValueError("grafana.kind managed needs monitoring.kind managed: it asks Amazon's store and no host")
        if self.backups.replica_region == self.region:
            raise ValueError("backups.replica_region is the stack's own region: a copy has to lie in another one")
        return self


def check(values: dict[str, Any]) -> Settings:
    """Return checked settings; raises SettingsError with one line for each mistake."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = []
        for each in error.errors():
            where = ".".join(str(part) for part in each["loc"]) or "settings"
            found = f", not {each['input']!r}" if isinstance(each["input"], str | int | float) else ""
            said = "has to be set" if each["type"] == "missing" else each["msg"].removeprefix("Value error, ")
            lines.append(f"simplicity:{where}: {said}{found}")
        raise SettingsError(tuple(lines)) from None
