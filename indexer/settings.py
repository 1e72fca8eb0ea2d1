"""Settings, by environment and file, under the names that operators of the public reference already have in theirs."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from indexer.bitcoin.script import Network

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

UNIVERSAL_BRC20_START = 895_534  # mainnet, as the public reference has it
HIGHEST_BLOCK = 2**31 - 1  # what the database's integer holds
HIGHEST_PORT = 65_535

LIMITED = ("read", "bulk", "stream", "auth", "other")  # classes of routes that have limits
_LIMIT = re.compile(r"[1-9][0-9]{0,8}/(second|minute|hour|day)")

_DATABASE_FORM = "must look like postgresql://user:password@host:5432/database"


class ConfigurationError(Exception):
    """The settings cannot work; each line says what is wrong and what to do."""


def _database_url(value: SecretStr) -> SecretStr:
    """Accept the driver suffix of other tools (postgresql+psycopg2://), which means nothing here."""
    scheme, _, rest = value.get_secret_value().partition("://")
    url = f"postgresql://{rest}"
    if scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise ValueError(_DATABASE_FORM)
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        # What libpq says of a URL that it cannot read may hold the password.
        raise ValueError(f"{_DATABASE_FORM}, with %-escapes and libpq's own parameters only") from None
    if not parts.get("host") or not parts.get("dbname"):
        raise ValueError(_DATABASE_FORM)
    # libpq takes several hosts, and a port for each or one for all: whoever of them leads is found by trying.
    ports = str(parts.get("port", 5432)).split(",")
    if not all(port.isdecimal() and 0 < int(port) <= HIGHEST_PORT for port in ports):
        raise ValueError("has no valid port")
    return SecretStr(url)


def _http_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("must look like http://host:8332")
    try:
        _ = url.port
    except ValueError:
        raise ValueError("has no valid port") from None
    if url.username or url.password:
        raise ValueError("must not carry credentials: use BITCOIN_RPC_USER and BITCOIN_RPC_PASSWORD")
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    url = urlsplit(value.get_secret_value())
    if url.scheme not in {"redis", "rediss", "unix"} or not (url.hostname or url.path):
        raise ValueError("must look like redis://user:password@host:6379/0")
    return value


def _collector_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("must look like http://collector:4318")
    return value


def _networks(value: object) -> object:
    """Read networks as operators write them in an env file: separated by spaces or commas."""
    if not isinstance(value, str):
        return value
    return tuple(ip_network(part) for part in value.replace(",", " ").split())


def _limits(value: object) -> object:
    """Read `class=N/period` pairs; a class that is left out has no limit."""
    if not isinstance(value, str):
        return value
    return _pairs(value)


def _pairs(text: str) -> dict[str, str]:
    found = {}
    for part in text.split():
        name, _, limit = part.partition("=")
        if name not in LIMITED or not _LIMIT.fullmatch(limit):
            raise ValueError(f"{part!r}: must look like read=600/minute, of the classes {', '.join(LIMITED)}")
        found[name] = limit
    return found


def _in_capitals(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _workers(cores: int) -> int:
    # One core is the database's and the writer's; beyond four readers the one writer is what takes longest.
    return max(1, min(4, cores - 1))


Limits = Annotated[Mapping[str, str], NoDecode, BeforeValidator(_limits)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
Port = Annotated[int, Field(ge=0, le=HIGHEST_PORT)]
Height = Annotated[int, Field(ge=0, le=HIGHEST_BLOCK)]


class Settings(BaseSettings):
    """Everything that the service can be told. Unknown names are ignored: an env file may serve other tools too."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, case_sensitive=True)

    DATABASE_URL: Annotated[SecretStr, AfterValidator(_database_url)]
    DATABASE_REPLICA_URL: Annotated[SecretStr, AfterValidator(_database_url)] | None = None
    REPLICA_MAX_LAG: Annotated[int, Field(ge=0, le=1000)] = 0  # blocks behind the primary at which a replica is read
    DATABASE_READER_ROLE: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] | None = None
    DB_POOL_SIZE: Annotated[int, Field(ge=1, le=200)] = 5
    DB_POOL_RECYCLE: Annotated[int, Field(ge=10, le=86_400)] = 1800  # seconds after which a connection is replaced
    DB_BULK_POOL_SIZE: Annotated[int, Field(ge=1, le=50)] = 2  # connections for /all, which may read long
    QUERY_TIMEOUT: Annotated[int, Field(ge=1, le=3600)] = 5  # seconds
    BULK_QUERY_TIMEOUT: Annotated[int, Field(ge=1, le=3600)] = 30  # seconds
    REDIS_URL: Annotated[SecretStr, AfterValidator(_redis_url)] | None = None

    BITCOIN_NETWORK: Network = Network.MAIN
    BITCOIN_RPC_URL: Annotated[str, AfterValidator(_http_url)] = "http://127.0.0.1:8332"
    BITCOIN_RPC_USER: str | None = None
    BITCOIN_RPC_PASSWORD: SecretStr | None = None
    BITCOIN_RPC_COOKIE_FILE: Path | None = None
    BITCOIN_RPC_TIMEOUT: Annotated[float, Field(gt=0, le=600)] = 30.0  # seconds
    BITCOIN_REST: bool = True  # use the node's REST interface where it is enabled

    START_BLOCK_HEIGHT: Height = UNIVERSAL_BRC20_START
    MAX_REORG_DEPTH: Annotated[int, Field(ge=1, le=100_000)] = 100  # blocks of undo data that are kept
    MARKETPLACE_TRANSFER_BLOCK_HEIGHT: Height = 901_350
    SWAP_EXE_ACTIVATION_HEIGHT: Height = 926_480  # read by the swap OPI, which comes with the OPIs
    STONES_ACTIVATION_HEIGHT: Height = 925_399  # read by the STONES OPI, which comes with the OPIs
    ENABLE_OPI: bool = True  # no OPI is shipped yet: their operations are recorded INVALID_OPERATION
    STOP_ON_OPI_ERROR: bool = True

    # Which release this process is of, as `simplicity deploy` calls it: the API says it with every answer.
    RELEASE_ID: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$")] | None = None
    CLUSTER_NAME: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9_.-]+$")] = "default"
    # Seconds between looks at the node's tip; a hosted node counts them.
    SYNC_POLL_INTERVAL: Annotated[float, Field(gt=0, le=60)] = 0.1
    # Processes that fetch and decode blocks while many are to be caught up with; 0: none beside sync itself.
    SYNC_WORKERS: Annotated[int, Field(ge=0, le=64, default_factory=lambda: _workers(os.cpu_count() or 1))]
    SYNC_METRICS_HOST: str = "127.0.0.1"
    SYNC_METRICS_PORT: Port = 9108
    # Both, and the API and the metrics of sync are served over TLS alone; read when a process starts.
    TLS_CERTIFICATE: Path | None = None
    TLS_KEY: Path | None = None

    API_HOST: str = "127.0.0.1"
    API_PORT: Port = 8083
    API_PUBLIC_READS: bool = True  # false: reads need a key or token
    API_CORS: bool = True  # browsers may read answers from any page: there are no cookies that they could misuse
    # Who may name the client's address in X-Forwarded-For: the balancer, nobody else.
    API_TRUSTED_PROXIES: Networks = ()
    # Who reads /metrics and /health/detailed without a token, besides operators.
    API_INTERNAL_NETWORKS: Networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    API_RATE_LIMITS: Limits = _pairs("read=600/minute bulk=12/minute stream=30/minute auth=30/minute other=60/minute")
    API_KEY_RATE_LIMITS: Limits = _pairs(
        "read=6000/minute bulk=60/minute stream=60/minute auth=60/minute other=60/minute"
    )
    API_CACHE_BYTES: Annotated[int, Field(ge=0, le=2**34)] = 64 * 2**20
    API_CACHE_TTL: Annotated[int, Field(ge=1, le=3600)] = 600  # seconds; a new block ends it earlier
    API_STALE_SECONDS: Annotated[int, Field(ge=0, le=86_400)] = (
        300  # how old an answer may be while the database is down
    )
    API_POLL_INTERVAL: Annotated[float, Field(gt=0, le=60)] = 1.0  # seconds between looks at the tip where LISTEN fails
    API_MAX_STREAMS: Annotated[int, Field(ge=0, le=100_000)] = 1_000  # open event streams a process
    # How long a process that was told to stop still serves while it says that it is not ready; the balancer's checks
    # have to notice in that time.
    API_DRAIN_SECONDS: Annotated[float, Field(ge=0, le=300)] = 5.0

    AUTH_PEPPER: Annotated[SecretStr, Field(min_length=32)] | None = None  # without it no key is accepted
    AUTH_KEY_RING: Path | None = None  # `simplicity auth ring create` makes it; without it there are no tokens
    AUTH_TOKEN_SECONDS: Annotated[int, Field(ge=10, le=86_400)] = 900

    # The names of the OpenTelemetry specification; without an endpoint nothing is traced.
    OTEL_EXPORTER_OTLP_ENDPOINT: Annotated[str, AfterValidator(_collector_url)] | None = None
    OTEL_TRACES_SAMPLER_ARG: Annotated[float, Field(ge=0, le=1)] = 0.01  # share of requests that are traced
    LOG_LEVEL: Annotated[LogLevel, BeforeValidator(_in_capitals)] = "INFO"

    @model_validator(mode="after")
    def _credentials_come_in_pairs(self) -> Settings:
        if (self.BITCOIN_RPC_USER is None) != (self.BITCOIN_RPC_PASSWORD is None):
            raise ValueError("BITCOIN_RPC_USER and BITCOIN_RPC_PASSWORD go together: set both, or a cookie file")
        return self

    @model_validator(mode="after")
    def _a_certificate_has_a_key(self) -> Settings:
        if (self.TLS_CERTIFICATE is None) != (self.TLS_KEY is None):
            raise ValueError("TLS_CERTIFICATE and TLS_KEY go together: set both, or neither")
        if self.TLS_CERTIFICATE is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.TLS_CERTIFICATE, self.TLS_KEY)
            except OSError as error:  # what TLS itself says of them is one too
                raise ValueError(f"TLS_CERTIFICATE and TLS_KEY cannot be used: {error.strerror or error}") from None
        return self


def load(env_file: Path | None = None) -> Settings:
    """Read the settings from the environment over those of `env_file` (`.env` where it is not given).

    Raises ConfigurationError with a line for each setting that cannot work; no line repeats a secret.
    """
    if env_file is not None and not env_file.is_file():
        raise ConfigurationError(f"{env_file}: no such file; name an existing one with --env-file")
    try:
        return Settings(_env_file=env_file or ".env")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{env_file or '.env'}: is not UTF-8 text") from None
    except ValidationError as error:
        lines = [_line(str(problem["loc"][0]) if problem["loc"] else "", problem["msg"]) for problem in error.errors()]
        raise ConfigurationError("\n".join(lines)) from None


def _line(name: str, message: str) -> str:
    reason = message.removeprefix("Value error, ")
    if not name:
        return reason
    if reason == "Field required":
        return f"{name} is not set: put it into the environment or the env file"
    return f"{name}: {reason[0].lower()}{reason[1:]}"


def shown(url: str) -> str:
    """Return a URL as far as a log may hold it: hosted nodes take their key in the path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
