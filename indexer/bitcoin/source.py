"""Where blocks come from: what the indexer asks of a node, and how a bitcoind-compatible node answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec

from indexer import log
from indexer.bitcoin.block import BlockDecodeError, OutPoint, decode_output_scripts, display, internal
from indexer.bitcoin.rpc import (
    NOT_FOUND,
    OUT_OF_RANGE,
    AnswerTooLargeError,
    NodeUnavailableError,
    RpcClient,
    RpcError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = log.get(__name__)

Place = tuple[int, int]  # of an input: its transaction's index in the block, its own index in the transaction

BATCH = 500  # hashes a round trip: so many that they are few, so few that a slow disk answers in time
BATCH_TRANSACTIONS = 100  # a round trip: each may have 400 kB, twice as much in hexadecimal
HASH_SIZE = 32
HIGHEST_BLOCK = 2**31 - 1  # what the database holds


@dataclass(frozen=True, slots=True)
class NodeTip:
    """Where the node stands: its chain's name, height and best hash (internal order)."""

    chain: str
    height: int
    hash: bytes


class BlockSource(Protocol):
    """What the follower needs of a node. Every method raises NodeError where the node fails."""

    def tip(self) -> NodeTip:
        """Return the best block of the node's active chain."""
        ...

    def hashes(self, first: int, count: int) -> list[bytes]:
        """Return the hashes (internal order) of the active chain's blocks from height `first` on.

        At most `count`, fewer where the tip comes first, none above it.
        """
        ...

    def raw_block(self, block_hash: bytes) -> bytes:
        """Return a block serialised."""
        ...

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        """Return the output script of each outpoint; all are spent in the block named, by the inputs at those places.

        Raises BlockDecodeError, too, where the answer does not fit the block.
        """
        ...


class ChainInfo(msgspec.Struct):
    """What `getblockchaininfo` and /rest/chaininfo.json answer, as far as it is read."""

    chain: str
    blocks: Annotated[int, msgspec.Meta(ge=0, le=HIGHEST_BLOCK)]
    bestblockhash: str


class _ScriptPubKey(msgspec.Struct):
    hex: str


class _Prevout(msgspec.Struct):
    scriptPubKey: _ScriptPubKey  # noqa: N815 - the node's name


class _Vin(msgspec.Struct):
    txid: str | None = None
    vout: int | None = None
    prevout: _Prevout | None = None


class _Tx(msgspec.Struct):
    vin: list[_Vin]


class _VerboseBlock(msgspec.Struct):
    tx: list[_Tx]


class RpcBlockSource:
    """Blocks from a node's JSON-RPC; senders with or without a transaction index on it."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self._has_txindex = True  # until the node says otherwise

    @property
    def round_trips(self) -> int:
        """How many questions the node was asked so far, a batch counted once."""
        return self._rpc.calls

    def interface(self) -> str:
        """Return what blocks are read through, for people."""
        return "JSON-RPC"

    def tip(self) -> NodeTip:
        """Return the best block of the node's active chain."""
        info = self._rpc.call("getblockchaininfo", type=ChainInfo)
        return NodeTip(info.chain, info.blocks, _hash(info.bestblockhash))

    def hashes(self, first: int, count: int) -> list[bytes]:
        """Return the hashes of at most `count` blocks of the active chain from height `first` on."""
        found: list[bytes] = []
        for start in range(first, first + count, BATCH):
            heights = range(start, min(start + BATCH, first + count))
            some = self._rpc.batch("getblockhash", [(height,) for height in heights], type=str, ends_at=OUT_OF_RANGE)
            found += map(_hash, some)
            if len(some) < len(heights):
                break
        return found

    def raw_block(self, block_hash: bytes) -> bytes:
        """Return a block serialised."""
        return self._rpc.call("getblock", display(block_hash), 0, type=bytes)

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        """Return the output script of each outpoint, by the node's transaction index or else from its undo data."""
        if not spends:
            return {}
        if self._has_txindex:
            try:
                return self._from_index(spends)
            except AnswerTooLargeError:
                logger.warning(
                    "senders' transactions are too large: asking for their outputs", block=display(block_hash)
                )
            except RpcError as error:
                if error.code != NOT_FOUND:
                    raise
                self._has_txindex = "txindex" not in error.message
        return self._from_undo(spends, block_hash)

    def _from_index(self, spends: Mapping[OutPoint, Place]) -> dict[OutPoint, bytes]:
        txids = list(dict.fromkeys(outpoint.txid for outpoint in spends))
        outputs: dict[bytes, tuple[bytes, ...]] = {}
        for start in range(0, len(txids), BATCH_TRANSACTIONS):
            some = txids[start : start + BATCH_TRANSACTIONS]
            answers = self._rpc.batch("getrawtransaction", [(display(txid), False) for txid in some], type=bytes)
            outputs |= {txid: decode_output_scripts(raw) for txid, raw in zip(some, answers, strict=True)}
        if any(outpoint.vout >= len(outputs[outpoint.txid]) for outpoint in spends):
            raise BlockDecodeError("a spent transaction has fewer outputs than are spent of it")
        return {outpoint: outputs[outpoint.txid][outpoint.vout] for outpoint in spends}

    def _from_undo(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        block = self._rpc.call("getblock", display(block_hash), 3, type=_VerboseBlock)
        found = {outpoint: _spent(block, outpoint, place) for outpoint, place in spends.items()}
        if None in found.values():
            raise NodeUnavailableError(
                f"node has neither a transaction index nor undo data for block {display(block_hash)}; "
                "run it with -txindex=1, or unpruned and of version 25 or later"
            )
        return {outpoint: _bytes(prevout.scriptPubKey.hex) for outpoint, prevout in found.items() if prevout}


def _spent(block: _VerboseBlock, outpoint: OutPoint, place: Place) -> _Prevout | None:
    try:
        spent = block.tx[place[0]].vin[place[1]]
    except IndexError:
        raise BlockDecodeError("the node shows fewer inputs than the block has") from None
    if (spent.txid, spent.vout) != (display(outpoint.txid), outpoint.vout):
        raise BlockDecodeError("the node shows other inputs than the block has")
    return spent.prevout


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise BlockDecodeError("the node's answer is not hexadecimal") from None


def _hash(text: str) -> bytes:
    try:
        value = internal(text)
    except ValueError:
        value = b""
    if len(value) != HASH_SIZE:
        raise NodeUnavailableError("node answered with something that is no hash; is it a Bitcoin node?")
    return value
