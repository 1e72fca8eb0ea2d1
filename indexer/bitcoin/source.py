"""Where blocks come from: what the indexer asks of a node, and how a bitcoind-compatible node answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from indexer.bitcoin.block import BlockDecodeError, OutPoint, decode_output_scripts, display, internal
from indexer.bitcoin.rpc import NOT_FOUND, OUT_OF_RANGE, NodeUnavailableError, RpcClient, RpcError

if TYPE_CHECKING:
    from collections.abc import Collection


BATCH = 500  # calls a round trip: so many that they are few, so few that a slow disk answers in time
HASH_SIZE = 32


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

    def hash_at(self, height: int) -> bytes | None:
        """Return the hash (internal order) of the active chain's block at a height, None above the tip."""
        ...

    def raw_block(self, block_hash: bytes) -> bytes:
        """Return a block serialised."""
        ...

    def scripts(self, outpoints: Collection[OutPoint], block_hash: bytes) -> dict[OutPoint, bytes]:
        """Return the output script of each outpoint; all are spent in the block named."""
        ...


class _ChainInfo(msgspec.Struct):
    chain: str
    blocks: int
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

    def tip(self) -> NodeTip:
        """Return the best block of the node's active chain."""
        info = self._rpc.call("getblockchaininfo", type=_ChainInfo)
        return NodeTip(info.chain, info.blocks, _hash(info.bestblockhash))

    def hash_at(self, height: int) -> bytes | None:
        """Return the hash of the active chain's block at a height, None above the tip."""
        try:
            return _hash(self._rpc.call("getblockhash", height, type=str))
        except RpcError as error:
            if error.code == OUT_OF_RANGE:
                return None
            raise

    def raw_block(self, block_hash: bytes) -> bytes:
        """Return a block serialised."""
        text = self._rpc.call("getblock", display(block_hash), 0, type=str)
        return _bytes(text)

    def scripts(self, outpoints: Collection[OutPoint], block_hash: bytes) -> dict[OutPoint, bytes]:
        """Return the output script of each outpoint, by the node's transaction index or else from its undo data."""
        if not outpoints:
            return {}
        if self._has_txindex:
            try:
                return self._from_index(outpoints)
            except RpcError as error:
                if error.code != NOT_FOUND:
                    raise
                self._has_txindex = "txindex" not in error.message
        return self._from_undo(outpoints, block_hash)

    def _from_index(self, outpoints: Collection[OutPoint]) -> dict[OutPoint, bytes]:
        txids = list(dict.fromkeys(outpoint.txid for outpoint in outpoints))
        outputs: dict[bytes, tuple[bytes, ...]] = {}
        for start in range(0, len(txids), BATCH):
            some = txids[start : start + BATCH]
            answers = self._rpc.batch("getrawtransaction", [(display(txid), False) for txid in some], type=str)
            outputs |= {txid: decode_output_scripts(_bytes(raw)) for txid, raw in zip(some, answers, strict=True)}
        if any(outpoint.vout >= len(outputs[outpoint.txid]) for outpoint in outpoints):
            raise BlockDecodeError("a spent transaction has fewer outputs than are spent of it")
        return {outpoint: outputs[outpoint.txid][outpoint.vout] for outpoint in outpoints}

    def _from_undo(self, outpoints: Collection[OutPoint], block_hash: bytes) -> dict[OutPoint, bytes]:
        block = self._rpc.call("getblock", display(block_hash), 3, type=_VerboseBlock)
        wanted = set(outpoints)
        found = {}
        for tx in block.tx:
            for spent in tx.vin:
                if spent.txid is None or spent.vout is None or spent.prevout is None:
                    continue
                outpoint = OutPoint(_hash(spent.txid), spent.vout)
                if outpoint in wanted:
                    found[outpoint] = _bytes(spent.prevout.scriptPubKey.hex)
        if len(found) != len(wanted):
            raise NodeUnavailableError(
                f"node has neither a transaction index nor undo data for block {display(block_hash)}; "
                "run it with -txindex=1, or unpruned and of version 25 or later"
            )
        return found


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
