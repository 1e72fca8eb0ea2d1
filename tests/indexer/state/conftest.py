from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.local.traffic.chain import OfflineChain
from tests.support.indexing import MARKETPLACE_HEIGHT, follow_to_tip, identity, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from tests.support.postgres import Cluster

UNDO_WINDOW = 10


def settings(database_url: str) -> dict[str, str]:
    """Return what a command needs to know to work on the index at a URL."""
    return {
        "DATABASE_URL": database_url,
        "BITCOIN_NETWORK": "regtest",
        "START_BLOCK_HEIGHT": "1",
        "MARKETPLACE_TRANSFER_BLOCK_HEIGHT": str(MARKETPLACE_HEIGHT),
        "CLUSTER_NAME": identity().cluster,
    }


@pytest.fixture(scope="session")
def chain() -> OfflineChain:
    chain = OfflineChain(11, maturity=3, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(24, 8)
    return chain


@pytest.fixture(scope="session")
def node(chain: OfflineChain) -> MemoryNode:
    return MemoryNode(chain.blocks)


@pytest.fixture(scope="session")
def sound_url(cluster: Cluster, migrated_template: str, node: MemoryNode) -> str:
    """The index of the chain: the same for every test, which must leave it as it is."""
    url = cluster.new_database(migrated_template)
    writer = open_writer(url, undo_window=UNDO_WINDOW)
    follow_to_tip(node, writer)
    writer.close()
    return url
