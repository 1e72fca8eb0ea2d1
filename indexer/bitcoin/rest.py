"""Blocks by Bitcoin Core's REST interface (bitcoind -rest=1): binary, so half the bytes of JSON-RPC and no hexadecimal.

REST is a faster way to what JSON-RPC gives as well. Where a node does not have it, or not any more, JSON-RPC is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from indexer import log
from indexer.bitcoin.block import BlockDecodeError, display
from indexer.bitcoin.rpc import AnswerTooLargeError, NodeUnavailableError
from indexer.bitcoin.source import ChainInfo, RpcBlockSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexer.bitcoin.block import OutPoint
    from indexer.bitcoin.connection import Answer
    from indexer.bitcoin.rpc import RpcClient
    from indexer.bitcoin.source import NodeTip, Place
    from indexer.settings import Settings

logger = log.get(__name__)

MAX_BLOCK = 4_000_000  # consensus: a weight of 4 000 000, and each byte weighs one or more
MAX_SPENT = 1 << 28  # consensus: 24 000 inputs of 41 bytes weighing 4 each, scripts of 10 000 bytes
MAX_CHAIN_INFO = 1 << 20
OK, NOT_FOUND, SERVER_ERROR = 200, 404, 500
PROBES = 3  # a node that is starting cannot say at once whether it has REST


class RestBlockSource:
    """Blocks by REST, and senders of a node of version 30 or later; the rest, and these where it fails, by JSON-RPC."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self._plain = RpcBlockSource(rpc)
        self._has_rest: bool | None = None  # not known before the node was asked
        self._probes = PROBES
        self._has_spent = True  # until the node says otherwise

    @property
    def round_trips(self) -> int:
        """How many questions the node was asked so far, whichever way."""
        return self._plain.round_trips

    def interface(self) -> str:
        """Return what blocks are read through, for people. Never raises for a node that does not answer."""
        return "REST" if self._is_on() else self._plain.interface()

    def tip(self) -> NodeTip:
        """Return the best block of the node's active chain."""
        return self._plain.tip()

    def hashes(self, first: int, count: int) -> list[bytes]:
        """Return the hashes of at most `count` blocks of the active chain from height `first` on."""
        return self._plain.hashes(first, count)

    def raw_block(self, block_hash: bytes) -> bytes:
        """Return a block serialised."""
        if self._is_on():
            answer = self._rpc.get(f"/rest/block/{display(block_hash)}.bin", limit=MAX_BLOCK)
            if answer.status == OK:
                return answer.body
            if not _is_passing(answer, block_hash):
                logger.warning("node has no REST interface any more: going on by JSON-RPC", status=answer.status)
                self._has_rest = False
        raw = self._plain.raw_block(block_hash)
        if self._has_rest is None:
            # A node that answers here but not there may be starting, or have a REST interface that is of no use.
            self._probes -= 1
            self._has_rest = None if self._probes else False
        return raw

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        """Return the output script of each outpoint, by the block's spent outputs or else as JSON-RPC finds them."""
        if spends and self._has_spent and self._is_on():
            answer = self._rpc.get(f"/rest/spenttxouts/{display(block_hash)}.bin", limit=MAX_SPENT)
            if answer.status == OK:
                return spent_scripts(answer.body, spends)
            self._has_spent = _is_passing(answer, block_hash)
        return self._plain.scripts(spends, block_hash)

    def _is_on(self) -> bool:
        if self._has_rest is None:
            self._has_rest = self._probe()
        return self._has_rest is True

    def _probe(self) -> bool | None:
        """Ask whether the node has REST; None where it cannot say now: it is down or starting."""
        try:
            answer = self._rpc.get("/rest/chaininfo.json", limit=MAX_CHAIN_INFO)
        except AnswerTooLargeError:
            return False
        except NodeUnavailableError:
            return None
        if answer.status >= SERVER_ERROR:
            return None
        try:
            msgspec.json.decode(answer.body, type=ChainInfo)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        return answer.status == OK


def block_source(settings: Settings, rpc: RpcClient) -> RpcBlockSource | RestBlockSource:
    """Return the fastest source that the settings allow; a URL with a path (a hosted node's) has no REST beside it."""
    return RestBlockSource(rpc) if settings.BITCOIN_REST and rpc.has_root else RpcBlockSource(rpc)


def _is_passing(answer: Answer, block_hash: bytes) -> bool:
    """Tell a node that has REST, but not this block or no time, from one that has no such path."""
    about_the_block = answer.status == NOT_FOUND and answer.body.startswith(display(block_hash).encode())
    return about_the_block or answer.status >= SERVER_ERROR


def spent_scripts(data: bytes, spends: Mapping[OutPoint, Place]) -> dict[OutPoint, bytes]:
    """Return the script of each outpoint out of a block's spent outputs, as /rest/spenttxouts serialises them.

    That is a list for each transaction, the coinbase's empty, of a value and a script for each input. Raises
    BlockDecodeError where the bytes end early or a transaction has fewer inputs than asked for.
    """
    try:
        places = _places(data, {index for index, _ in spends.values()})
        return {outpoint: _script(data, places[index][number]) for outpoint, (index, number) in spends.items()}
    except IndexError:
        raise BlockDecodeError(f"spent outputs of {len(data)} bytes do not fit the block") from None


def _places(data: bytes, wanted: set[int]) -> dict[int, list[int]]:
    """Return where the outputs lie that the transactions at these indexes spend."""
    found: dict[int, list[int]] = {}
    count, position = _varint(data, 0)
    last = max(wanted, default=-1)
    if last >= count:
        raise IndexError
    for index in range(last + 1):
        inputs, position = _varint(data, position)
        places = found.setdefault(index, []) if index in wanted else None
        for _ in range(inputs):
            if places is not None:
                places.append(position)
            # A block spends thousands: the length of all but the strangest scripts is read in place.
            size = data[position + 8]
            position = position + 9 + size if size < 0xFD else sum(_varint(data, position + 8))
    if position > len(data):
        raise IndexError
    return found


def _script(data: bytes, position: int) -> bytes:
    size, start = _varint(data, position + 8)
    return data[start : start + size]


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the number of variable length at a position, and where it ends."""
    first = data[position]
    if first < 0xFD:
        return first, position + 1
    width = 1 << (first - 0xFC)
    # Bytes missing here make the end lie beyond the data, which is seen there.
    return int.from_bytes(data[position + 1 : position + 1 + width], "little"), position + 1 + width
