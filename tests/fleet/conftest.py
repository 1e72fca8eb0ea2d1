"""What the roles promise, asserted on live hosts: run by `make prove-deploy`, inside of the fleet's network."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import testinfra

from infra import environment as document
from runbooks.drivers.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.fleet)


@pytest.fixture(scope="session")
def environment() -> Environment:
    """The environment that SIMPLICITY_ENVIRONMENT names, where its hosts are reached from here."""
    named = os.environ.get("SIMPLICITY_ENVIRONMENT")
    assert named, "SIMPLICITY_ENVIRONMENT names no environment: `make prove-deploy` boots one"
    found = document.load(Path(named))
    network = Path(found.drivers["hosts"].settings["network"])
    # On any other network the same addresses may be somebody's real hosts.
    assert network.stat().st_ino == Path("/proc/self/ns/net").stat().st_ino, f"run this under nsenter --net={network}"
    return found


@pytest.fixture(scope="session")
def on(environment: Environment) -> Callable[[str], Any]:
    """A host by its name, as testinfra's Host: as root, by sudo."""
    config = environment.drivers["hosts"].settings["config"]

    @cache
    def connected(name: str) -> Any:  # noqa: ANN401 - testinfra has no types
        return testinfra.get_host(f"ssh://{name}?ssh_config={config}&controlpersist=60&sudo=true")

    return connected


@pytest.fixture(scope="session")
def remote(environment: Environment) -> Remote:
    """Commands on hosts, as the drivers run them."""
    return Remote(environment)
