from __future__ import annotations

import copy
import hashlib
import stat
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal

import pytest

from infra.environment import Environment, SecretReference
from infra.local.component import Envelope, Options, components
from infra.local.components import grafana
from infra.local.document import document_of
from infra.local.layout import Layout, layout, write_private
from infra.local.lock import exclusive
from runbooks.drivers import select
from runbooks.drivers.local_secrets import FIXED, WRITABLE, LocalSecretStore
from runbooks.drivers.operations import OperationStore, wait
from runbooks.drivers.protocols import Phase, Refusal, require
from runbooks.drivers.select import Drivers, Lacking

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VALUE = "correct-horse-battery"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    made = layout()
    made.create()
    return made


@pytest.fixture
def environment(place: Layout) -> Environment:
    """The document of an envelope that was never up, where Grafana is installed; its secrets are there."""
    ports = {port.name: port.default for component in components() for port in component.ports}
    secrets = {name: f"old-{name}" for component in components() for name in component.secrets}
    for name, value in secrets.items():
        write_private(place.secrets / name, f"{value}\n")
    made = document_of(Envelope(place, ports, Options(), secrets))
    its = SecretReference(source="file", name=str(place.secrets / grafana.PASSWORD))
    return made.model_copy(update={"secrets": made.secrets | {grafana.PASSWORD: its}})


@pytest.fixture
def drivers(environment: Environment, store: OperationStore) -> Drivers:
    return Drivers.for_environment(environment, store.directory)


@pytest.fixture
def secrets(drivers: Drivers) -> LocalSecretStore:
    assert isinstance(drivers.secret_store, LocalSecretStore)
    return drivers.secret_store


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda d: d.traffic_switch.weights(), "the place local has no TrafficSwitch: one HAProxy"),
        (lambda d: d.traffic_switch.shift("k", {"blue": 100}), "the place local has no TrafficSwitch: one HAProxy"),
        (lambda d: d.scaler.scale("k", "api", 3), "the place local has no Scaler: .*two; .*in the cloud"),
        (lambda d: d.failover.switch("k", "b"), "the place local has no Failover: there is one database"),
        (lambda d: d.failover.poll("k"), "the place local has no Failover"),
    ],
)
def test_what_the_local_envelope_lacks_says_why_and_where_it_is_to_be_had(
    drivers: Drivers, call: Callable[[Drivers], object], says: str
) -> None:
    with pytest.raises(Refusal, match=says) as caught:
        call(drivers)
    assert "\n" not in str(caught.value)


def test_what_is_lacking_has_no_capabilities_and_can_still_be_looked_at(drivers: Drivers) -> None:
    with pytest.raises(Refusal, match=r"has no capability 'write' \(it has none\)"):
        require(drivers.scaler, "write")
    assert isinstance(copy.copy(drivers.scaler), Lacking)
    assert not hasattr(drivers.scaler, "_repr_html_")


@pytest.mark.parametrize("where", ["fleet", "cloud"])
def test_other_places_lack_every_driver_in_this_release(
    environment: Environment, store: OperationStore, where: Literal["fleet", "cloud"]
) -> None:
    found = Drivers.for_environment(environment.model_copy(update={"place": where}), store.directory)
    calls: list[Callable[[], object]] = [
        found.service_control.services,
        found.secret_store.names,
        found.backup_engine.backups,
        found.traffic_switch.weights,
        lambda: found.scaler.size("api"),
        found.failover.members,
    ]
    for call in calls:
        with pytest.raises(Refusal, match=f"the place {where} has no .*: this release drives the local envelope only"):
            call()


def test_a_document_of_another_envelope_is_refused(
    environment: Environment, store: OperationStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "another"))
    with pytest.raises(Refusal, match="set SIMPLICITY_HOME to the home of the document's envelope"):
        Drivers.for_environment(environment, store.directory)
    with pytest.raises(Refusal, match="with the socket None"):
        Drivers.for_environment(environment.model_copy(update={"drivers": {}}), store.directory)


def test_the_backup_engine_is_made_when_it_is_wanted(
    drivers: Drivers, environment: Environment, store: OperationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Lacking("local", "BackupEngine", "it is made for a test")
    asked: list[tuple[Environment, OperationStore]] = []

    def make(environment: Environment, store: OperationStore) -> Lacking:
        asked.append((environment, store))
        return made

    monkeypatch.setitem(sys.modules, select.BACKUPS, SimpleNamespace(local_backup_engine=make))
    assert asked == []
    assert id(drivers.backup_engine) == id(made)
    assert asked == [(environment, store)]


def test_a_backup_engine_whose_packages_are_missing_says_what_installs_them(
    drivers: Drivers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "an_engine_of_a_test.py").write_text("import a_package_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(select, "BACKUPS", "an_engine_of_a_test")
    with pytest.raises(Refusal, match=r"it needs the package 'a_package_that_nobody_has'; .*simplicity\[local\]"):
        drivers.backup_engine.backups()


def test_services_of_an_envelope_that_was_never_up_are_refused(drivers: Drivers) -> None:
    for call in (drivers.service_control.services, lambda: drivers.service_control.start("k", "sync")):
        with pytest.raises(Refusal, match="the envelope is not up; `simplicity up` starts it"):
            call()


def test_secrets_are_read_by_the_document_s_names(secrets: LocalSecretStore) -> None:
    assert secrets.names() == sorted(secrets.environment.secrets)
    assert set(secrets.names()) <= WRITABLE | FIXED.keys(), "of each it is known whether the next `up` takes another"
    assert secrets.read("cache_password") == "old-cache_password"
    with pytest.raises(Refusal, match=r"names no secret 'root'; there are auth_key_ring, .*"):
        secrets.read("root")
    with pytest.raises(Refusal, match="'node_rpc_cookie' cannot be read"):
        secrets.read("node_rpc_cookie")


@pytest.mark.parametrize("name", ["cache_password", "database_reader_password", "database_writer_password"])
def test_a_written_secret_is_read_back_and_stands_in_no_record(
    secrets: LocalSecretStore, place: Layout, name: str
) -> None:
    operation = secrets.write("k", name, VALUE)
    assert operation.phase is Phase.DONE
    assert operation.arguments == {"sha256": hashlib.sha256(VALUE.encode()).hexdigest()}
    assert secrets.read(name) == VALUE
    (changed,) = [path for path in place.secrets.iterdir() if VALUE in path.read_text()]
    assert stat.S_IMODE(changed.stat().st_mode) == 0o600
    records = "".join(path.read_text() for path in secrets.store.directory.iterdir())
    assert VALUE not in records + repr(operation) + repr(secrets) + place.lock.read_text()


def test_the_same_write_again_has_no_effect_and_another_one_with_its_key_is_refused(secrets: LocalSecretStore) -> None:
    first = secrets.write("k", "cache_password", VALUE)
    second = secrets.write("l", "cache_password", VALUE[::-1])
    assert secrets.write("k", "cache_password", VALUE) == first
    assert secrets.read("cache_password") == VALUE[::-1]
    with pytest.raises(Refusal, match="take another key") as caught:
        secrets.write("k", "cache_password", "another-value-of-it")
    assert "another-value" not in str(caught.value)
    assert secrets.poll("l") == second


@pytest.mark.parametrize("name", sorted(FIXED))
def test_a_secret_that_up_does_not_take_is_not_replaced(secrets: LocalSecretStore, name: str) -> None:
    with pytest.raises(Refusal, match=f"{name} is not replaced here: {FIXED[name]}; those that are: cache_password"):
        secrets.write("k", name, VALUE)
    assert secrets.store.find("k") is None


@pytest.mark.parametrize("name", ["superuser_password", "../../etc/passwd", "", "x" * 5_000])
def test_a_name_that_the_document_does_not_have_is_refused(secrets: LocalSecretStore, name: str) -> None:
    with pytest.raises(Refusal, match="there is no secret") as caught:
        secrets.write("k", name, VALUE)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "value", ["", "short", "x" * 129, "with spaces in it all", "a'; DROP ROLE x; --", VALUE + "\n"]
)
def test_a_value_that_would_need_quotes_is_refused_and_not_shown(secrets: LocalSecretStore, value: str) -> None:
    with pytest.raises(Refusal, match="cache_password: this value cannot be used; take 16 to 128") as caught:
        secrets.write("k", "cache_password", value)
    assert not value or value not in str(caught.value)
    assert secrets.read("cache_password") == "old-cache_password"


def test_a_secret_that_lies_elsewhere_is_not_written(
    environment: Environment, place: Layout, store: OperationStore, tmp_path: Path
) -> None:
    outside = SecretReference(source="file", name=str(tmp_path / "elsewhere"))
    changed = environment.model_copy(update={"secrets": environment.secrets | {"cache_password": outside}})
    with pytest.raises(Refusal, match="lies outside of this envelope"):
        LocalSecretStore(changed, place, store).write("k", "cache_password", VALUE)
    assert not (tmp_path / "elsewhere").exists()


def test_while_another_command_is_at_work_nothing_is_written_nor_recorded(
    secrets: LocalSecretStore, place: Layout
) -> None:
    with exclusive(place.lock, "up"), pytest.raises(Refusal, match=r"`simplicity up` .* wait until it has finished"):
        secrets.write("k", "cache_password", VALUE)
    assert secrets.store.find("k") is None
    assert secrets.read("cache_password") == "old-cache_password"


def test_a_write_whose_process_was_killed_before_it_is_waited_for_and_after_it_is_done(
    secrets: LocalSecretStore, place: Layout
) -> None:
    digest = hashlib.sha256(VALUE.encode()).hexdigest()
    secrets.store.begin("k", driver="files", action="write", target="cache_password", arguments={"sha256": digest})
    operation = wait(secrets, "k", 0.2)
    assert (operation.phase, operation.detail) == (
        Phase.RUNNING,
        "the value is in no record: write it again, with the same key",
    )
    write_private(place.secrets / "cache_password", f"{VALUE}\n")
    assert secrets.poll("k").phase is Phase.DONE
    secrets.store.begin("l", driver="files", action="write", target="cache_password", arguments={"sha256": digest})
    assert secrets.write("l", "cache_password", VALUE).phase is Phase.DONE


def test_a_service_s_operation_is_not_the_secret_store_s(secrets: LocalSecretStore, drivers: Drivers) -> None:
    secrets.write("k", "cache_password", VALUE)
    with pytest.raises(Refusal, match="with the driver files, this is supervisor; poll it there"):
        drivers.service_control.poll("k")


def test_services_are_started_stopped_and_restarted_here(drivers: Drivers) -> None:
    for capability in ("start", "stop", "restart"):
        require(drivers.service_control, capability)
    require(drivers.secret_store, "write")
