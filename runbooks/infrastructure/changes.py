"""Which settings may be changed in a running environment, and to what: decided before anything is touched."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from infra.overrides import Overrides

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERVICE_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,62}")
DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{1,62}(\.[a-z][a-z0-9_]{1,62})?")
LONGEST = 500
INDEX = "decides what the index holds: that is another index, and a deployment's business"
PLACE = "is given by the environment's document and the playbooks"
SECRET = "holds a secret: those come from the environment's secrets"  # noqa: S105 # nosec B105 - none is here
REFUSED_SERVICE = {
    **dict.fromkeys(
        (
            "BITCOIN_NETWORK",
            "START_BLOCK_HEIGHT",
            "MARKETPLACE_TRANSFER_BLOCK_HEIGHT",
            "SWAP_EXE_ACTIVATION_HEIGHT",
            "STONES_ACTIVATION_HEIGHT",
            "ENABLE_OPI",
            "STOP_ON_OPI_ERROR",
        ),
        INDEX,
    ),
    **dict.fromkeys(
        (
            "API_DRAIN_SECONDS",
            "API_HOST",
            "API_INTERNAL_NETWORKS",
            "API_PORT",
            "API_TRUSTED_PROXIES",
            "AUTH_KEY_RING",
            "BITCOIN_RPC_COOKIE_FILE",
            "BITCOIN_RPC_URL",
            "BITCOIN_RPC_USER",
            "CLUSTER_NAME",
            "DATABASE_READER_ROLE",
            "RELEASE_ID",
            "SYNC_METRICS_HOST",
            "SYNC_METRICS_PORT",
            "TLS_CERTIFICATE",
            "TLS_KEY",
        ),
        PLACE,
    ),
}
# The balancers give up after 45 s, and so does systemd on a process that stops.
MOST = {"BULK_QUERY_TIMEOUT": 35, "QUERY_TIMEOUT": 35}
# What Patroni, the playbooks or the operating system own; and what names files or programs that the server runs.
REFUSED_DATABASE = re.compile(
    r"ssl.*|archive_.*|restore_command|recovery_.*|primary_.*|synchronous_standby_names|wal_level|wal_log_hints|"
    r"hot_standby|listen_addresses|port|cluster_name|password_encryption|timezone|log_timezone|log_line_prefix|"
    r".*_librar(y|ies).*|.*_path|.*_command|.*_file|.*_director(y|ies)|unix_socket.*|config_file|fsync|full_page_writes|"
    r"data_.*|allow_system_table_mods|zero_damaged_pages|ignore_.*|max_wal_senders|max_replication_slots"
)


class ChangeError(ValueError):
    """A change that is refused: one line that says which and why."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Names and their new values; None takes an override back."""

    service: Mapping[str, str | None]
    database: Mapping[str, str | None]


def parse(text: str) -> dict[str, str | None]:
    """Read an object of names and values as JSON, as a runbook's argument has it. Raises ValueError."""
    found: Any = json.loads(text)
    if not isinstance(found, dict) or not found:
        raise ChangeError("has to be a JSON object of names and values, and not empty")
    for name, value in found.items():
        if value is not None and not isinstance(value, str | int | float | bool):
            raise ChangeError(f"{name}: has to have one value, or null")
    return {name: _text(value) for name, value in found.items()}


def _text(value: Any) -> str | None:  # noqa: ANN401 - what JSON has
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def sorted_out(given: Mapping[str, str | None]) -> Changes:
    """Return changes by whose they are: settings of the service are in capitals, parameters of PostgreSQL are not.

    Raises ChangeError for one that may not be changed here, or has a value that its setting does not take.
    """
    service = {name: value for name, value in given.items() if SERVICE_NAME.fullmatch(name)}
    database = {name: value for name, value in given.items() if DATABASE_NAME.fullmatch(name)}
    for name in given:
        if name not in service and name not in database:
            raise ChangeError(f"{name[:60]!r}: is neither a setting like API_CACHE_TTL nor a parameter like work_mem")
    for name, value in given.items():
        if value is not None and (len(value) > LONGEST or not value.isprintable() or not value.isascii()):
            raise ChangeError(f"{name}: has to be one line of at most {LONGEST} plain characters")
    for name, value in service.items():
        _check_service(name, value)
    for name in database:
        if REFUSED_DATABASE.fullmatch(name):
            raise ChangeError(f"{name}: is not changed here: {PLACE}, or it can harm what is stored")
    return Changes(service, database)


def _check_service(name: str, value: str | None) -> None:
    from pydantic import SecretStr, TypeAdapter, ValidationError  # noqa: PLC0415 - a page needs it not

    from indexer.settings import Settings  # noqa: PLC0415 - as above

    setting = Settings.model_fields.get(name)
    if setting is None:
        raise ChangeError(
            f"{name}: there is no such setting; `simplicity config check --help` names the document of them"
        )
    if "SecretStr" in str(setting.annotation) or setting.annotation is SecretStr:
        raise ChangeError(f"{name}: {SECRET}")
    if name in REFUSED_SERVICE:
        raise ChangeError(f"{name}: {REFUSED_SERVICE[name]}")
    if value is None:
        return
    kind: Any = Annotated[setting.annotation, *setting.metadata] if setting.metadata else setting.annotation
    try:
        taken = TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ChangeError(f"{name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    if name in MOST and taken > MOST[name]:
        raise ChangeError(f"{name}: at most {MOST[name]}: the balancers give up after 45 s")


def changed(before: Overrides, changes: Changes) -> Overrides:
    """Return what is set after the changes."""
    return Overrides(_merged(before.service, changes.service), _merged(before.database, changes.database))


def _merged(before: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**before, **changes}
    return {name: value for name, value in sorted(merged.items()) if value is not None}


def differences(before: Overrides, after: Overrides) -> list[str]:
    """Return a line for each name that is another one afterwards."""
    return [
        f"{name}: {old.get(name, 'as it comes')} -> {new.get(name, 'as it comes')}"
        for old, new in ((before.service, after.service), (before.database, after.database))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def patch(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    """Return what Patroni is to be told, for its shared parameters to become others; None takes one away."""
    return {name: after.get(name) for name in sorted({*before, *after}) if before.get(name) != after.get(name)}


def names(given: Sequence[str], removed: Sequence[str], listed: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the changes of a command line: NAME=VALUE, names to take back, a file's. Raises ChangeError."""
    found: dict[str, str | None] = {str(name): _text(value) for name, value in listed.items()}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not value:
            raise ChangeError(f"{each[:60]!r}: has to be NAME=VALUE; --unset NAME takes one back")
        found[name] = value
    found |= dict.fromkeys(removed)
    if not found:
        raise ChangeError("name what is to be changed: NAME=VALUE, --unset NAME or --from FILE")
    return found
