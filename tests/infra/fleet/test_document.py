from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.environment import load
from infra.fleet.document import SECRETS, document_of
from infra.fleet.plan import Machine, Plan
from infra.fleet.storage import Storage
from infra.local.layout import private_directory

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    made = Storage(tmp_path / "fleet")
    private_directory(made.home)
    private_directory(made.run)
    return made


def inventory(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "playbooks/inventory.py"), "--list"]
    given = {"SIMPLICITY_ENVIRONMENT": str(path), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=given)


def test_the_document_of_a_fleet_is_read_like_every_other_and_holds_no_secret(storage: Storage) -> None:
    private_directory(storage.secrets)
    for name in SECRETS:
        (storage.secrets / name).write_text(f"value-of-{name}\n")
    document_of(Plan(), storage).save(storage.environment)
    found = load(storage.environment)
    assert (found.place, found.network) == ("fleet", "regtest")
    assert found.secret("cache_password") == "value-of-cache_password"
    assert "value-of-" not in storage.environment.read_text()


def test_the_inventory_has_a_group_for_each_role_and_an_odd_number_of_votes(storage: Storage) -> None:
    plan = Plan()
    wider = Plan(hosts=(*plan.hosts, plan.fresh("application")))
    document_of(wider, storage).save(storage.environment)
    found = json.loads(inventory(storage.environment).stdout)
    assert found["api"]["hosts"] == ["app1", "app2", "app3"]
    assert found["etcd"]["hosts"] == ["db1", "db2", "mon1"]
    assert found["_meta"]["hostvars"]["app3"]["ansible_host"] == "10.88.0.100"
    assert found["all"]["vars"]["virtual_address"] == "10.88.0.10"


def test_an_inventory_without_a_usable_document_says_what_to_do(tmp_path: Path) -> None:
    done = inventory(tmp_path / "missing.json")
    assert done.returncode == 2
    assert done.stderr.startswith("inventory: ")
    assert "missing.json" in done.stderr


def test_a_fresh_host_takes_the_first_name_and_address_that_nobody_has() -> None:
    plan = Plan(hosts=(Machine("app1", "application", 21), Machine("app3", "application", 100)))
    assert plan.fresh("application") == Machine("app2", "application", 101)
    full = Plan(hosts=tuple(Machine(f"h{n}", "application", n) for n in range(100, 200)))
    with pytest.raises(ValueError, match="no address left"):
        full.fresh("application")
