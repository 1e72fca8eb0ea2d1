from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.envelope import Throwaway

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Throwaway]:
    made = Throwaway(tmp_path_factory.mktemp("envelope"))
    try:
        yield made
    finally:
        made.run("down")


@pytest.fixture
def at_rest(shared: Throwaway) -> Throwaway:
    """An envelope that has been up, and is down."""
    if not shared.layout.ports.exists():
        shared.up("--rate", "4")
    if shared.processes():
        assert shared.run("down").returncode == 0
    return shared


@pytest.fixture
def envelope(shared: Throwaway) -> Throwaway:
    """An envelope that is up, whatever the test before has done to it."""
    if not shared.is_up():
        shared.up("--rate", "4")
    return shared
