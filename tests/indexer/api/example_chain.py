"""Two blocks of mainnet's form on which the API's answers are the examples of its document, to the last byte."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from indexer.bitcoin.script import Network, address_of
from indexer.bitcoin.source import NodeTip
from indexer.protocol.rules import Rules
from indexer.store.writer import Writer
from indexer.sync.follower import Follower, Step
from infra.local.node.mining import block_hash, build_block, push
from infra.local.node.wire import Input, Output, compact_size, decode_block, decode_transaction, sha256d
from tests.support.indexing import identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from indexer.bitcoin.block import OutPoint
    from indexer.bitcoin.source import Place

FIRST = 900_000
_TIME = 1_749_200_000
_FINAL = 0xFFFFFFFF


def _script(name: str) -> bytes:
    return b"\x00\x14" + sha256d(name.encode())[:20]


ALICE, BOB = _script("alice"), _script("bob")
ADDRESS = address_of(ALICE, Network.MAIN) or ""


def _transaction(spent: tuple[bytes, int], payload: bytes, to: bytes) -> bytes:
    """An operation of Alice's: her coin in, the payload, who receives, her change."""
    inputs = Input(*spent, b"", _FINAL).outpoint + b"\x00" + struct.pack("<I", _FINAL)
    outputs = (Output(0, b"\x6a" + push(payload)), Output(546, to), Output(10_000, ALICE))
    written = b"".join(struct.pack("<q", out.value) + compact_size(len(out.script)) + out.script for out in outputs)
    return struct.pack("<i", 2) + b"\x01" + inputs + compact_size(len(outputs)) + written + struct.pack("<I", 0)


def _txid(raw: bytes) -> bytes:
    return decode_transaction(raw).txid


def blocks() -> list[bytes]:
    """Alice deploys and mints; then she sends some to Bob."""
    deploy = _transaction(
        (sha256d(b"a coin"), 0), b'{"p":"brc-20","op":"deploy","tick":"ORDI","m":"21000000","l":"1000"}', ALICE
    )
    mint = _transaction((_txid(deploy), 2), b'{"p":"brc-20","op":"mint","tick":"ORDI","amt":"1000"}', ALICE)
    transfer = _transaction((_txid(mint), 2), b'{"p":"brc-20","op":"transfer","tick":"ORDI","amt":"250.5"}', BOB)
    first = build_block(bytes(32), FIRST, _TIME, ALICE, [deploy, mint])
    return [first, build_block(block_hash(first), FIRST + 1, _TIME + 600, ALICE, [transfer])]


class _Node:
    """Serves the blocks, the first at FIRST."""

    def __init__(self, raws: Sequence[bytes]) -> None:
        self._raws = {block_hash(raw): raw for raw in raws}
        self._scripts = {(sha256d(b"a coin"), 0): ALICE}
        for raw in raws:
            for tx in decode_block(raw).transactions:
                self._scripts |= {(tx.txid, number): output.script for number, output in enumerate(tx.outputs)}

    def tip(self) -> NodeTip:
        return NodeTip("main", FIRST + len(self._raws) - 1, list(self._raws)[-1])

    def hashes(self, first: int, count: int) -> list[bytes]:
        return list(self._raws)[first - FIRST : first - FIRST + count]

    def raw_block(self, block_hash: bytes) -> bytes:
        return self._raws[block_hash]

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        assert block_hash in self._raws
        return {outpoint: self._scripts[outpoint] for outpoint in spends}


def index_examples(database_url: str) -> None:
    """Index the two blocks into an empty database."""
    who = identity(network="main", start_height=FIRST, marketplace_height=FIRST)
    writer = Writer.try_open(database_url, who, undo_window=100)
    assert writer is not None
    try:
        follower = Follower(_Node(blocks()), writer, Rules(Network.MAIN, FIRST))
        while follower.step(to_height=1 << 30) is not Step.AT_TIP:
            pass
    finally:
        writer.close()
