"""What answers do about an index that is not what it should be: find the first bad block, and mend from there on."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import make_conninfo

from indexer.bitcoin.block import display
from indexer.bitcoin.rpc import NodeError
from indexer.settings import ConfigurationError
from indexer.settings import load as load_settings
from indexer.state.repair import Repair
from indexer.state.verify import verify
from indexer.store.chain import Identity
from indexer.store.connection import StoreError, StoreUnavailableError, connect
from infra.environment import EnvironmentFileError
from runbooks.backup.errors import BackupError
from runbooks.backup.place import Backups
from runbooks.engine.model import Halt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.bitcoin.rpc import RpcClient
    from indexer.progress import Advance
    from indexer.settings import Settings
    from indexer.state.repair import Outcome
    from indexer.state.verify import Report
    from runbooks.engine.model import Context


@dataclass(frozen=True, slots=True)
class Fork:
    """Where the node's chain leaves the indexed one: `common` is the last block that both have."""

    tip: int
    node_height: int
    common: int
    undo_from: int

    @property
    def depth(self) -> int:
        """How many indexed blocks are not of the node's chain; 0 where the node has only not come so far."""
        return self.tip - self.common if self.common < min(self.tip, self.node_height) else 0

    @property
    def is_too_deep(self) -> bool:
        """Whether sync cannot take these blocks back by itself."""
        return self.depth > 0 and self.common + 1 < self.undo_from

    @property
    def sentence(self) -> str:
        """The fork in a line."""
        if self.depth:
            way = "deeper than what sync can take back" if self.is_too_deep else "sync takes them back by itself"
            return f"{self.depth} blocks after block {self.common} are not of the node's chain: {way}"
        if self.node_height < self.tip:
            return (
                f"the node is at block {self.node_height} only, the index at {self.tip}: its chain goes on from there"
            )
        return f"the index is on the node's chain, at block {self.tip}"


@contextmanager
def halting() -> Iterator[None]:
    """Make a Halt of what keeps an index from being looked at or mended."""
    known = (StoreError, StoreUnavailableError, NodeError, ConfigurationError, BackupError, EnvironmentFileError)
    try:
        yield
    except known as error:
        raise Halt(" ".join(str(error).split())) from None


def settings_of(context: Context) -> Settings:
    """Return the indexer's settings of the environment."""
    return load_settings(Backups(context.environment).env_file)


def writer_url(context: Context) -> str:
    """Return where the writer connects, of the document: a DATABASE_URL in on-call's shell may be another database."""
    where = context.environment.endpoints.database
    password = context.environment.secret("database_writer_password")
    return make_conninfo(host=where.host, port=where.port, dbname=where.name, user=where.writer_role, password=password)


def fork(context: Context) -> Fork:
    """Find where the node's chain leaves the indexed one. Raises Halt."""
    with (
        halting(),
        _node(settings_of(context)) as node,
        connect(writer_url(context), statement_timeout=30) as connection,
    ):
        found = connection.execute("SELECT tip_height, undo_from, start_height FROM index.chain").fetchone()
        if found is None:
            raise Halt("the index is empty: there is nothing that could have left the node's chain")
        tip, undo_from, start = found
        node_height = node.call("getblockcount", type=int)

        def is_common(at: int) -> bool:
            row = connection.execute("SELECT hash FROM index.blocks WHERE height = %s", (at,)).fetchone()
            return row is not None and display(row[0]) == node.call("getblockhash", at, type=str)

        common = _last_common(start - 1, min(tip, node_height), is_common)
        return Fork(tip, node_height, common, undo_from)


def _last_common(low: int, high: int, is_common: Any) -> int:  # noqa: ANN401 - a function of a height
    """Return the highest block for which this is so, by bisection: chains that parted stay apart."""
    while low < high:
        middle = (low + high + 1) // 2
        if is_common(middle):
            low = middle
        else:
            high = middle - 1
    return low


@contextmanager
def _node(settings: Settings) -> Iterator[RpcClient]:
    from indexer.bitcoin.rpc import RpcClient  # noqa: PLC0415 - only this needs the client

    client = RpcClient.from_settings(settings)
    try:
        yield client
    finally:
        client.close()


def verified(context: Context) -> Report:
    """Recompute the index by the rules, and say what differs; a sync may go on meanwhile. Raises Halt."""
    with halting():
        identity = Identity.from_settings(settings_of(context))
        return verify(writer_url(context), identity, lambda what, total: _progress(context, what, total))


def mended(context: Context, from_height: int | None) -> Outcome:
    """Keep the good blocks below `from_height`, recompute the state of them; sync indexes the rest. Raises Halt."""
    with halting():
        settings = settings_of(context)
        work = Repair(
            writer_url(context),
            Identity.from_settings(settings),
            settings.MAX_REORG_DEPTH,
            lambda what, total: _progress(context, what, total),
        )
        return work.run(from_height, None)


@contextmanager
def _progress(context: Context, what: str, total: int) -> Iterator[Advance]:
    yield lambda done: context.progress(done, total, what)
