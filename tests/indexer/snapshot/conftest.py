"""One index, one pair of keys and one snapshot of it, the same for every test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from indexer.snapshot import keys
from indexer.snapshot.create import create
from infra.local.traffic.chain import OfflineChain
from tests.support.indexing import MARKETPLACE_HEIGHT, follow_to_tip, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from tests.support.postgres import Cluster

BLOCKS = 24
UNDO_WINDOW = 9


@dataclass(frozen=True)
class KeyPair:
    """Where the private key lies (the public one beside it), and both as values."""

    path: Path
    private: Ed25519PrivateKey
    public: bytes

    @classmethod
    def make(cls, path: Path) -> KeyPair:
        keys.generate(path)
        return cls.of(path)

    @classmethod
    def of(cls, path: Path) -> KeyPair:
        private = keys.load_private(path)
        return cls(path, private, keys.raw(private.public_key()))

    @property
    def trust(self) -> Path:
        return self.path.with_name(f"{self.path.name}.pub")


def grown(seed: int = 31, blocks: int = BLOCKS) -> OfflineChain:
    chain = OfflineChain(seed, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(blocks, 8)
    return chain


@pytest.fixture(scope="session")
def maker(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return KeyPair.make(tmp_path_factory.mktemp("maker") / "maker.key")


@pytest.fixture(scope="session")
def forger(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return KeyPair.make(tmp_path_factory.mktemp("forger") / "forger.key")


@pytest.fixture(scope="session")
def chain() -> OfflineChain:
    """A chain that no test changes."""
    return grown()


@pytest.fixture(scope="session")
def sound_url(cluster: Cluster, migrated_template: str, chain: OfflineChain) -> str:
    """The index of the chain, which every test leaves as it is."""
    url = cluster.new_database(migrated_template)
    writer = open_writer(url, undo_window=UNDO_WINDOW)
    follow_to_tip(MemoryNode(chain.blocks), writer)
    writer.close()
    return url


@pytest.fixture
def damaged_url(cluster: Cluster, sound_url: str) -> str:
    """A copy of the index, to be damaged."""
    return cluster.new_database(sound_url.rpartition("/")[2])


@pytest.fixture(scope="session")
def snapshot(sound_url: str, maker: KeyPair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snapshot of the index, which every test leaves as it is."""
    path, _ = create(sound_url, maker.private, tmp_path_factory.mktemp("snapshot"))
    return path
