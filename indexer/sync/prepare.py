"""A block's operations with their senders: all that can be known of a block before any state is looked at."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from indexer import log
from indexer.bitcoin.block import Block, BlockDecodeError, OutPoint, decode, display
from indexer.bitcoin.rpc import NodeError
from indexer.bitcoin.script import MAX_ADDRESSED, OP_RETURN
from indexer.protocol.parse import bind, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from indexer.bitcoin.source import BlockSource
    from indexer.protocol.model import Operation
    from indexer.protocol.parse import Candidate
    from indexer.protocol.rules import Rules

logger = log.get(__name__)

# Who operates once operates again, and pays for it with the change: outputs of recent candidates are the likeliest
# to be asked for next. About 20 MB.
REMEMBERED_OUTPUTS = 65_536


class CorruptBlockError(NodeError):
    """The node handed out bytes that are not the block asked for."""


class Prepared(Struct, frozen=True):
    """A block as the rules need it: its header (hashes in internal order) and its operations in transaction order."""

    height: int
    hash: bytes
    prev_hash: bytes
    time: datetime
    operations: tuple[Operation, ...]


class Preparer:
    """Fetches and decodes blocks, and finds out who sent their operations.

    `second` is another way to the same node, gone for a block that comes corrupt by the first.
    """

    def __init__(self, source: BlockSource, rules: Rules, second: BlockSource | None = None) -> None:
        self._source = source
        self._second = second
        self._rules = rules
        self._remembered: dict[OutPoint, bytes] = {}

    def prepare(self, height: int, block_hash: bytes) -> Prepared:
        """Return the block with this hash, which the node says stands at a height. Raises NodeError."""
        try:
            return self._prepare(height, block_hash, self._source)
        except CorruptBlockError as error:
            if self._second is None:
                raise
            logger.warning("asking for the block another way", reason=str(error))
            return self._prepare(height, block_hash, self._second)

    def _prepare(self, height: int, block_hash: bytes, source: BlockSource) -> Prepared:
        with _corrupt(block_hash):
            block = decode(source.raw_block(block_hash))
            if block.hash != block_hash:
                raise BlockDecodeError(f"got block {display(block.hash)} instead")
            candidates = [found for tx in block.candidates if (found := parse(tx, self._rules)) is not None]
            scripts = self._scripts(block, candidates, source)
        operations = tuple(operation for each in candidates for operation in bind(each, scripts, self._rules, height))
        return Prepared(height, block.hash, block.prev_hash, block.time, operations)

    def _scripts(self, block: Block, candidates: list[Candidate], source: BlockSource) -> dict[OutPoint, bytes]:
        scripts = block.local_scripts
        elsewhere = {}
        for candidate in candidates:
            for number, outpoint in enumerate(candidate.prevouts):
                if outpoint in scripts:
                    continue
                script = self._remembered.pop(outpoint, None)  # it can be spent once only
                if script is None:
                    elsewhere[outpoint] = (candidate.tx.index, number)
                else:
                    scripts[outpoint] = script
        self._remember(candidates)
        return scripts | source.scripts(elsewhere, block.hash) if elsewhere else scripts

    def _remember(self, candidates: list[Candidate]) -> None:
        for candidate in candidates:
            tx = candidate.tx
            for vout, script in enumerate(tx.outputs):
                if script and script[0] != OP_RETURN:
                    # One that is too long for an address has none, as the empty one: its kilobytes need not be kept.
                    self._remembered[OutPoint(tx.txid, vout)] = script if len(script) <= MAX_ADDRESSED else b""
        for outpoint in list(islice(self._remembered, max(len(self._remembered) - REMEMBERED_OUTPUTS, 0))):
            del self._remembered[outpoint]


@contextmanager
def _corrupt(block_hash: bytes) -> Iterator[None]:
    try:
        yield
    except BlockDecodeError as error:
        raise CorruptBlockError(
            f"node handed out a corrupt block {display(block_hash)} ({error}); check the node's disk; trying again"
        ) from error
