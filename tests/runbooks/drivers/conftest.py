from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runbooks.drivers.operations import OperationStore
from tests.support.envelope import Throwaway, own_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Throwaway]:
    made = Throwaway(tmp_path_factory.mktemp("envelope"), settings=own_ports())
    try:
        yield made
    finally:
        made.run("down")


@pytest.fixture
def envelope(shared: Throwaway) -> Throwaway:
    """An envelope that is up, whatever the test before has done to it."""
    if not shared.is_up():
        shared.up("--rate", "4")
    return shared


@pytest.fixture
def store(tmp_path: Path) -> OperationStore:
    return OperationStore(tmp_path / "operations")
