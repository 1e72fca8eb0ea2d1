"""Our rules run over raw blocks without a node or a database, in the shape of the naive implementation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexer.bitcoin.block import Block, decode
from indexer.bitcoin.script import Network
from indexer.protocol.apply import apply, touched
from indexer.protocol.hashing import EMPTY, event
from indexer.protocol.model import Applied, BalanceKey, BlockDelta, Deploy, Operation, Position, State
from indexer.protocol.parse import bind, parse
from indexer.protocol.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class BlockResult:
    height: int
    events: list[bytes]
    events_hash: bytes
    state_hash: bytes
    state_digest: int
    rows: tuple[Applied, ...]


@dataclass(frozen=True)
class Result:
    blocks: list[BlockResult]
    balances: dict[tuple[str, str], int]
    deploys: dict[str, Deploy]


def run(
    blocks: Sequence[bytes],
    start_height: int,
    prevouts: Callable[[bytes, int], bytes],
    *,
    network: str = "regtest",
    marketplace_height: int,
) -> Result:
    """Apply raw blocks in order. `prevouts(txid, vout)` gives scripts of outputs made before the first block."""
    rules = Rules(Network(network), marketplace_height)
    outputs = _Outputs(prevouts)
    deploys: dict[str, Deploy] = {}
    balances: dict[BalanceKey, int] = {}
    position = Position(start_height - 1, EMPTY, EMPTY)
    results = []
    for raw in blocks:
        block = decode(raw)
        operations = _operations(block, outputs, rules, position.height + 1)
        outputs.remember(raw)
        tickers, keys = touched(operations)
        state = State(
            {ticker: deploys[ticker] for ticker in tickers if ticker in deploys},
            {key: balances[key] for key in keys if key in balances},
        )
        delta = apply(block, operations, state, position, rules)
        _settle(delta, deploys, balances)
        position = delta.after
        results.append(_result(delta))
    return Result(results, {(key.ticker, key.address): units for key, units in balances.items() if units}, deploys)


def _operations(block: Block, outputs: _Outputs, rules: Rules, height: int) -> list[Operation]:
    operations: list[Operation] = []
    for tx in block.candidates:
        candidate = parse(tx, rules)
        if candidate is None:
            continue
        scripts = {
            out: block.local_scripts[out] if out in block.local_scripts else outputs.script(*out)
            for out in candidate.prevouts
        }
        operations.extend(bind(candidate, scripts, rules, height))
    return operations


def _settle(delta: BlockDelta, deploys: dict[str, Deploy], balances: dict[BalanceKey, int]) -> None:
    for ticker, deploy in delta.deploys.items():
        assert deploy.after is not None
        deploys[ticker] = deploy.after
    for key, balance in delta.balances.items():
        balances[key] = balance.after or 0


def _result(delta: BlockDelta) -> BlockResult:
    return BlockResult(
        height=delta.after.height,
        events=[event(row) for row in delta.rows],
        events_hash=delta.events_hash,
        state_hash=delta.after.state_hash,
        state_digest=int.from_bytes(delta.after.state_digest),
        rows=delta.rows,
    )


class _Outputs:
    """Every output of the blocks seen so far, by a plain reading of their transactions."""

    def __init__(self, before: Callable[[bytes, int], bytes]) -> None:
        self._before = before
        self._seen: dict[tuple[bytes, int], bytes] = {}

    def script(self, txid: bytes, vout: int) -> bytes:
        found = self._seen.get((txid, vout))
        return self._before(txid, vout) if found is None else found

    def remember(self, raw: bytes) -> None:
        self._seen.update(outputs_of(raw))


def outputs_of(raw: bytes) -> dict[tuple[bytes, int], bytes]:
    """Return every output script of a raw block by its outpoint, read with btclib."""
    from btclib.block.block import Block as OracleBlock  # noqa: PLC0415 - slow to import, needed by few tests

    block = OracleBlock.parse(raw, check_validity=False)
    return {
        (bytes(tx.id)[::-1], vout): bytes(output.script_pub_key.script)
        for tx in block.transactions
        for vout, output in enumerate(tx.vout)
    }
