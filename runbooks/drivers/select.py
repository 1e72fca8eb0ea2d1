"""Which drivers an environment has."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, cast

from runbooks.drivers.operations import OperationStore
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.drivers.protocols import (
        BackupEngine,
        Failover,
        Scaler,
        SecretStore,
        ServiceControl,
        TrafficSwitch,
    )

# Why a place lacks a driver, and where its job can be done: each ends the line that a person gets to see.
LOCAL = {
    "TrafficSwitch": "one HAProxy spreads requests over two fixed API processes; traffic is switched in the cloud",
    "Scaler": "the number of API processes is fixed, at two; machines are added in the fleet and in the cloud",
    "Failover": "there is one database and no replica; databases fail over in the fleet and in the cloud",
}
# The databases of Amazon's: they fail over and are backed up by its own means.
MANAGED = frozenset({"aurora", "rds"})
BACKUPS = "runbooks.backup.engine"
ELSEWHERE = "this release drives the local envelope only; do it by the place's own tools"


class Lacking:
    """Stands where a place has no driver: every call raises the same Refusal, and it has no capabilities."""

    def __init__(self, place: str, driver: str, why: str) -> None:
        self._line = f"the place {place} has no {driver}: {why}"

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: nothing."""
        return frozenset()

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("_"):
            raise AttributeError(name)  # what Python itself asks of any object

        def refuse(*_: object, **__: object) -> NoReturn:
            raise Refusal(self._line)

        return refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Drivers:
    """All drivers of one environment; where it lacks one there is a Lacking in its place.

    `backups` makes the backup engine when it is first wanted: what it imports is of no use to the others.
    """

    service_control: ServiceControl
    secret_store: SecretStore
    traffic_switch: TrafficSwitch
    scaler: Scaler
    failover: Failover
    backups: Callable[[], BackupEngine]

    @property
    def backup_engine(self) -> BackupEngine:
        """Who makes backups here."""
        return self.backups()

    @classmethod
    def for_environment(cls, environment: Environment, directory: Path) -> Drivers:
        """Return an environment's drivers, which keep their operations in `directory`.

        Raises Refusal when the document is not of the envelope that SIMPLICITY_HOME names.
        """
        if environment.place == "local":
            return _local(environment, OperationStore(directory))
        return cls(
            service_control=_service_control(environment, OperationStore(directory)),
            secret_store=_secret_store(environment, OperationStore(directory)),
            traffic_switch=_traffic_switch(environment, OperationStore(directory)),
            scaler=_scaler(environment, OperationStore(directory)),
            failover=_failover(environment, OperationStore(directory)),
            backups=lambda: _backups(environment, OperationStore(directory)),
        )


def _secret_store(environment: Environment, store: OperationStore) -> SecretStore:
    driver = environment.drivers.get("secrets")
    if driver is None or driver.kind != "secretsmanager":
        return cast("SecretStore", _lacking(environment.place, "SecretStore", ELSEWHERE))
    return cast("SecretStore", _cloud("aws_secrets").SecretsManagerStore(environment, store))


def _cloud(module: str) -> Any:  # noqa: ANN401 - a module
    """Import a driver of the cloud. Raises Refusal where its packages are missing."""
    try:
        return importlib.import_module(f"runbooks.drivers.{module}")
    except ModuleNotFoundError as error:
        raise Refusal(
            f"it needs the package {error.name!r}; install the extra: pip install 'simplicity[cloud]'"
        ) from None


def _traffic_switch(environment: Environment, store: OperationStore) -> TrafficSwitch:
    driver = environment.drivers.get("traffic_switch")
    if driver is not None and driver.kind == "target-groups":
        return cast("TrafficSwitch", _cloud("aws_switch").TargetGroupSwitch(environment, store))
    if driver is None or driver.kind != "haproxy":
        return cast("TrafficSwitch", _lacking(environment.place, "TrafficSwitch", ELSEWHERE))
    from runbooks.drivers.haproxy_switch import HaproxySwitch  # noqa: PLC0415 - of no use elsewhere

    return HaproxySwitch(environment, store)


def _service_control(environment: Environment, store: OperationStore) -> ServiceControl:
    driver = environment.drivers.get("service_control")
    if driver is None or driver.kind != "systemd":
        return cast("ServiceControl", _lacking(environment.place, "ServiceControl", ELSEWHERE))
    from runbooks.drivers.remote import Remote  # noqa: PLC0415 - of no use elsewhere
    from runbooks.drivers.ssh_services import SystemdServiceControl  # noqa: PLC0415 - as above

    return SystemdServiceControl(Remote(environment), store)


def _backups(environment: Environment, store: OperationStore) -> BackupEngine:
    driver = environment.drivers.get("backup")
    if driver is not None and driver.kind in MANAGED:
        return cast("BackupEngine", _cloud("aws_snapshots").SnapshotEngine(environment, store))
    if driver is None or driver.kind != "pgbackrest":
        return cast("BackupEngine", _lacking(environment.place, "BackupEngine", ELSEWHERE))
    return cast(
        "BackupEngine", importlib.import_module("runbooks.backup.pgbackrest").pgbackrest_engine(environment, store)
    )


def _failover(environment: Environment, store: OperationStore) -> Failover:
    driver = environment.drivers.get("failover")
    if driver is not None and driver.kind in MANAGED:
        return cast("Failover", _cloud("aws_failover").ManagedFailover(environment, store))
    if driver is None or driver.kind != "patroni":
        return cast("Failover", _lacking(environment.place, "Failover", ELSEWHERE))
    from runbooks.drivers.patroni import PatroniFailover  # noqa: PLC0415 - of no use elsewhere

    return PatroniFailover(environment, store)


def _scaler(environment: Environment, store: OperationStore) -> Scaler:
    driver = environment.drivers.get("scaler")
    if driver is not None and driver.kind == "autoscaling":
        return cast("Scaler", _cloud("aws_scaler").AutoscalingScaler(environment, store))
    if driver is None or driver.kind != "hosts":
        return cast("Scaler", _lacking(environment.place, "Scaler", ELSEWHERE))
    from runbooks.drivers.host_scaler import HostScaler  # noqa: PLC0415 - of no use elsewhere

    return HostScaler(environment, store)


def _local(environment: Environment, store: OperationStore) -> Drivers:
    # The supervisor's client and the process table are of no use elsewhere, nor there.
    from infra.local.layout import layout  # noqa: PLC0415
    from runbooks.drivers.local_secrets import LocalSecretStore  # noqa: PLC0415
    from runbooks.drivers.local_services import LocalServiceControl  # noqa: PLC0415

    here = layout()
    driver = environment.drivers.get("service_control")
    socket = driver.settings.get("socket") if driver else None
    # A document of one envelope, and the home of another: nobody would know which one is stopped.
    if socket != str(here.socket):
        raise Refusal(
            f"this document is of the envelope with the socket {socket}, SIMPLICITY_HOME names {here.home};"
            " set SIMPLICITY_HOME to the home of the document's envelope"
        )
    return Drivers(
        service_control=LocalServiceControl(here, store),
        secret_store=LocalSecretStore(environment, here, store),
        traffic_switch=_lacking("local", "TrafficSwitch", LOCAL["TrafficSwitch"]),
        scaler=_lacking("local", "Scaler", LOCAL["Scaler"]),
        failover=_lacking("local", "Failover", LOCAL["Failover"]),
        backups=lambda: _backup_engine(environment, store),
    )


def _backup_engine(environment: Environment, store: OperationStore) -> BackupEngine:
    """Import the local backup engine: `local_backup_engine(environment, store)` of the module BACKUPS."""
    try:
        make = importlib.import_module(BACKUPS).local_backup_engine
    except ModuleNotFoundError as error:
        why = f"it needs the package {error.name!r}; install the extra: pip install 'simplicity[local]'"
        return cast("BackupEngine", _lacking("local", "BackupEngine", why))
    return cast("BackupEngine", make(environment, store))


def _lacking(place: str, driver: str, why: str) -> Any:  # noqa: ANN401 - it stands for whichever driver is not there
    return Lacking(place, driver, why)
