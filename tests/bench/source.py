"""A chain's files as the follower's view of a node: no network, no validation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from indexer.bitcoin.block import OutPoint
from indexer.bitcoin.source import NodeTip
from tests.bench.files import BLOCKS, ENTRY, INDEX, SPENT, facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from indexer.bitcoin.source import Place

_OUTPOINT = 36


class FileBlockSource:
    """Serves the blocks of a chain up to a height (None: all). Needs no round trips."""

    round_trips = 0

    def __init__(self, folder: Path, height: int | None = None) -> None:
        last = facts(folder).height if height is None else height
        self._entries = list(ENTRY.iter_unpack((folder / INDEX).read_bytes()[: last * ENTRY.size]))
        self._places = {entry[0]: number for number, entry in enumerate(self._entries)}
        self._blocks = os.open(folder / BLOCKS, os.O_RDONLY)
        self._spent = os.open(folder / SPENT, os.O_RDONLY)
        self.height = len(self._entries)

    def close(self) -> None:
        os.close(self._blocks)
        os.close(self._spent)

    def interface(self) -> str:
        return "files"

    def tip(self) -> NodeTip:
        return NodeTip("regtest", self.height, self._entries[-1][0])

    def hashes(self, first: int, count: int) -> list[bytes]:
        return [entry[0] for entry in self._entries[max(first, 1) - 1 : first - 1 + count]]

    def raw_block(self, block_hash: bytes) -> bytes:
        _, at, size, _, _ = self._entries[self._places[block_hash]]
        return os.pread(self._blocks, size, at)

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        _, _, _, at, size = self._entries[self._places[block_hash]]
        spent = dict(_scripts(os.pread(self._spent, size, at)))
        return {outpoint: spent[outpoint] for outpoint in spends}

    def raw_blocks(self, first: int) -> Iterator[bytes]:
        """Yield the blocks from a height on."""
        for entry in self._entries[first - 1 :]:
            yield os.pread(self._blocks, entry[2], entry[1])


def _scripts(data: bytes) -> Iterator[tuple[OutPoint, bytes]]:
    at = 0
    while at < len(data):
        start = at + _OUTPOINT + 1
        end = start + data[start - 1]
        outpoint = OutPoint(data[at : at + 32], int.from_bytes(data[at + 32 : at + _OUTPOINT], "little"))
        yield outpoint, data[start:end]
        at = end
