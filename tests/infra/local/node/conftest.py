"""Nodes for the tests: one that a module shares, and as many of its own as a test asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.infra.local.node.harness import OPEN_ADDRESS, NodeProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node with 110 blocks (ten coins are mature); each test makes what it needs on top."""
    node = NodeProcess(tmp_path_factory.mktemp("node") / "data")
    try:
        node.start().rpc("generatetoaddress", 110, OPEN_ADDRESS)
        yield node
    finally:
        node.stop()


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Start nodes that end with the test, however it ends."""
    started: list[NodeProcess] = []

    def start(*options: str, name: str = "data", **environment: str) -> NodeProcess:
        node = NodeProcess(tmp_path / name, options, environment)
        started.append(node)
        return node.start()

    yield start
    for node in started:
        if node.process is not None and node.process.poll() is None:
            node.kill()
