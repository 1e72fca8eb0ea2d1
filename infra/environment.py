"""The Environment document: what an environment is and is meant to be, the same shape in every place.

It holds identity and intent only. What changes by itself (a leader, a tip, the members of a group) is asked from the
drivers; a secret is named here, never held.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

VERSION: Literal[1] = 1
# What this release's indexer works with; a test holds the first equal to the newest migration.
SCHEMA_VERSION = "0003"
PROTOCOL_VERSION = "1"


class EnvironmentFileError(Exception):
    """The document cannot be used: one line that says why and what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Database(_Part):
    """Where the database is and who logs in to it; passwords are under `secrets`."""

    host: str
    port: int = Field(ge=1, le=65_535)
    name: str
    writer_role: str
    reader_role: str


class Endpoints(_Part):
    """Where each service answers; URLs carry no credentials.

    `api` is what clients ask; behind it are `api_instances`, where they are fixed. None stands for what an environment
    does not have.
    """

    api: str
    sync_metrics: str
    node_rpc: str
    prometheus: str
    database: Database
    api_instances: tuple[str, ...] = ()
    balancer_metrics: str | None = None
    cache: str | None = None
    alertmanager: str | None = None
    operations: str | None = None
    grafana: str | None = None


class Host(_Part):
    """A machine and the address that others reach it by."""

    name: str
    address: str


class SecretReference(_Part):
    """Where a secret is to be had: a file's absolute path, or a name in a store."""

    source: Literal["file", "store"]
    name: str


class MetricSource(_Part):
    """Who answers PromQL, and the labels that single this environment out."""

    kind: Literal["prometheus"]
    url: str
    labels: dict[str, str] = {}


class Driver(_Part):
    """Which driver does a job here, and its settings."""

    kind: str
    settings: dict[str, str] = {}


class Environment(_Part):
    """One environment. `secrets`, `hosts` and `drivers` are keyed by what they are for, hosts by role."""

    version: Literal[1] = VERSION
    name: str = Field(min_length=1, max_length=63)
    place: Literal["local", "fleet", "cloud"]
    network: Literal["main", "test", "signet", "regtest"]
    start_height: int = Field(ge=0)
    schema_version: str = SCHEMA_VERSION
    protocol_version: str = PROTOCOL_VERSION
    endpoints: Endpoints
    hosts: dict[str, tuple[Host, ...]]
    secrets: dict[str, SecretReference]
    metrics: MetricSource
    drivers: dict[str, Driver]

    def save(self, path: Path) -> None:
        """Replace `path` in one step: a reader sees the old document or the new one, never a part."""
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        fresh.write_text(json.dumps(self.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)

    def secret(self, name: str) -> str:
        """Read a secret that lies in a file; raises EnvironmentFileError when it is not to be had."""
        reference = self.secrets.get(name)
        if reference is None:
            raise EnvironmentFileError(f"environment {self.name} names no secret {name!r}")
        if reference.source != "file":
            raise EnvironmentFileError(f"secret {name!r} of environment {self.name} lies in a store, not in a file")
        try:
            return Path(reference.name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise EnvironmentFileError(f"secret {name!r} cannot be read from {reference.name}: {error}") from None


def load(path: Path) -> Environment:
    """Read a document; raises EnvironmentFileError with one line when it is missing, damaged or of another version."""
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EnvironmentFileError(f"{path}: no environment here; `simplicity up` makes the local one") from None
    except OSError as error:
        raise EnvironmentFileError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise EnvironmentFileError(f"{path}: is no JSON ({error}); `simplicity up` writes the local one anew") from None
    version = value.get("version") if isinstance(value, dict) else None
    if version != VERSION:
        raise EnvironmentFileError(
            f"{path}: has version {version!r}, this release reads {VERSION}; use the release that wrote it"
        )
    try:
        return Environment.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise EnvironmentFileError(f"{path}: {where}: {problem['msg'].lower()}; write it anew") from None


def schema() -> dict[str, Any]:
    """Return the document's JSON schema."""
    return Environment.model_json_schema()
