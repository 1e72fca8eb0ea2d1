"""Index a chain into a database as the service does, without its process."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from indexer.bitcoin.script import Network
from indexer.protocol.rules import Rules
from indexer.store.chain import Identity
from indexer.store.export import export
from indexer.store.writer import Writer
from indexer.sync.follower import Follower, Step

if TYPE_CHECKING:
    from indexer.bitcoin.source import BlockSource

MARKETPLACE_HEIGHT = 12


def identity(**changes: object) -> Identity:
    given = {"cluster": "test", "network": "regtest", "start_height": 1, "marketplace_height": MARKETPLACE_HEIGHT}
    return Identity(**(given | changes))  # type: ignore[arg-type]  # the values are as the caller wants them


def open_writer(database_url: str, *, undo_window: int = 100) -> Writer:
    writer = Writer.try_open(database_url, identity(), undo_window=undo_window)
    assert writer is not None, "another writer has the lock"
    return writer


def follow_to_tip(source: BlockSource, writer: Writer, *, most: int = 10_000, blocks_a_step: int = 1 << 30) -> int:
    """Step until the node's tip is reached (or `most` often); return how many blocks were undone on the way."""
    follower = Follower(source, writer, Rules(Network.REGTEST, MARKETPLACE_HEIGHT))
    undone = 0
    for _ in range(most):
        height = writer.tip.height
        step = follower.step(to_height=height + blocks_a_step)
        undone += height - writer.tip.height if step is Step.UNDONE else 0
        if step is Step.AT_TIP:
            return undone
    assert most < 10_000, f"not at the tip after {most} steps"
    return undone


def index_fresh(source: BlockSource, database_url: str) -> bytes:
    """Index from nothing to the node's tip and return the whole state as exported."""
    writer = open_writer(database_url)
    try:
        follow_to_tip(source, writer)
    finally:
        writer.close()
    return exported(database_url)


def exported(database_url: str) -> bytes:
    target = io.BytesIO()
    export(database_url, target)
    return target.getvalue()
