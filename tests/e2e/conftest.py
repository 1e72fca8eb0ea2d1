"""A real node with a live chain, and the environment in which sync follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.local.traffic.chain import OfflineChain
from tests.infra.local.node.harness import NodeProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_HEIGHT = 101
MARKETPLACE_HEIGHT = 130


@pytest.fixture
def chain() -> OfflineChain:
    """A chain whose coinbases have matured; operations begin at START_HEIGHT."""
    return OfflineChain(61, marketplace_height=MARKETPLACE_HEIGHT)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path / "node").start()
    try:
        yield process
    finally:
        if process.process is not None and process.process.poll() is None:
            process.kill()


def submit(node: NodeProcess, blocks: list[bytes]) -> None:
    for raw in blocks:
        answer = node.rpc("submitblock", raw.hex())
        assert answer in {None, "inconclusive", "duplicate"}, answer


def sync_environment(node: NodeProcess, database_url: str, **settings: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "BITCOIN_NETWORK": "regtest",
        "BITCOIN_RPC_URL": f"http://127.0.0.1:{node.port}",
        "BITCOIN_RPC_COOKIE_FILE": str(node.directory / ".cookie"),
        "START_BLOCK_HEIGHT": str(START_HEIGHT),
        "MARKETPLACE_TRANSFER_BLOCK_HEIGHT": str(MARKETPLACE_HEIGHT),
        "SYNC_METRICS_PORT": "0",
        "SYNC_POLL_INTERVAL": "0.05",
        "BITCOIN_RPC_TIMEOUT": "2",
    } | settings
