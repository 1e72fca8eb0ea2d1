"""What the stages need around them: a folder, a database server, nodes that have a chain; all gone at the end."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.store.schema import migrate
from tests.bench.cluster import DurableCluster
from tests.bench.progress import Progress
from tests.bench.source import FileBlockSource
from tests.bench.task import Database, NodeAddress
from tests.infra.local.node.harness import NodeProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Laboratory:
    """A folder for this run, one where chains are kept, and a durable database server."""

    folder: Path
    cache: Path
    cluster: DurableCluster
    template: str

    def database(self) -> Database:
        """Return a migrated, empty database."""
        return Database(self.cluster.new_database(self.template), self.cluster.monitor())

    def log(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '-')}.log"

    @contextmanager
    def node(self, name: str, *options: str) -> Iterator[NodeProcess]:
        """Run a node on the data directory of this name."""
        node = NodeProcess(self.folder / name, options)
        try:
            yield node.start()
        finally:
            if node.process is not None and node.process.poll() is None:
                node.stop()


@contextmanager
def laboratory(cache: Path) -> Iterator[Laboratory]:
    """Provide what stages need; all of it lies below `cache`, so that the disk that is measured is that one."""
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=cache))
    try:
        with DurableCluster.create(folder) as cluster:
            url = cluster.new_database()
            migrate(url)
            yield Laboratory(folder, cache, cluster, url.rpartition("/")[2])
    finally:
        shutil.rmtree(folder)


def address(node: NodeProcess, interface: str = "rpc") -> NodeAddress:
    return NodeAddress(f"http://127.0.0.1:{node.port}", str(node.directory / ".cookie"), interface)


def feed(node: NodeProcess, chain: Path, first: int, last: int) -> None:
    """Let a node validate a chain's blocks from one height to another."""
    source = FileBlockSource(chain, last)
    with Progress(f"the node takes blocks {first} to {last} of {chain.name}", last - first + 1) as progress:
        for number, raw in enumerate(source.raw_blocks(first)):
            submit(node, raw)
            progress.at(number)
    source.close()


def submit(node: NodeProcess, raw: bytes) -> Any:  # noqa: ANN401 - BIP22's answer
    answer = node.rpc("submitblock", raw.hex())
    assert answer in {None, "inconclusive"}, f"the node refused a block: {answer}"
    return answer
