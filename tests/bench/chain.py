"""A deterministic chain of any length, valid by consensus on regtest, in files that are whole or not there.

First come empty blocks until coinbases are mature, then one that splits them, then the blocks with traffic.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from infra.local.node import mining
from infra.local.traffic.ledger import REGTEST_GENESIS, REGTEST_GENESIS_TIME
from tests.bench import coins, tokens, traffic
from tests.bench.coins import Coin, Lock
from tests.bench.files import BLOCKS, ENTRY, FACTS, INDEX, LEAD, SPENT, Facts, facts
from tests.bench.progress import Progress
from tests.bench.traffic import SHAPES, Shape, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.coins import Built

CACHE = Path(__file__).parents[2] / ".simplicity" / "cache" / "bench"
COINBASES = 50
BLOCK_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Mined:
    """A block, its hash, and the scripts that its operations' inputs spend: outpoint, size, script."""

    raw: bytes
    hash: bytes
    spent: bytes


def mine(traffic: Traffic) -> Iterator[Mined]:
    """Yield blocks from height 1, without end."""
    locks = [traffic.locks.spendable() for _ in range(COINBASES)]
    rewards: list[Coin] = []
    previous, height = REGTEST_GENESIS, 0
    while True:
        height += 1
        txs: list[tuple[Built, bool]] = []
        if height == LEAD:
            txs = [(built, False) for built in traffic.fan_out(rewards)]
        elif height > LEAD:
            txs = traffic.block()
        lock = locks[(height - 1) % COINBASES]
        mined, reward = _seal(previous, height, txs, lock)
        if height <= COINBASES:
            rewards.append(reward)
        previous = mined.hash
        yield mined


def _seal(previous: bytes, height: int, txs: list[tuple[Built, bool]], lock: Lock) -> tuple[Mined, Coin]:
    value = mining.subsidy(height)
    commitment = mining.witness_commitment([tx.wtxid for tx, _ in txs])
    coinbase = mining.coinbase(height, value, lock.script, commitment)
    txid = coins.stripped_id(coinbase)
    root = mining.merkle_root([txid, *(tx.txid for tx, _ in txs)])
    header = mining.solve(previous, root, REGTEST_GENESIS_TIME + height * BLOCK_SECONDS)
    raw = b"".join((header, coins.size(1 + len(txs)), coinbase, *(tx.raw for tx, _ in txs)))
    spent = b"".join(
        coin.outpoint + bytes((len(coin.script),)) + coin.script for tx, speaks in txs if speaks for coin in tx.inputs
    )
    return Mined(raw, mining.block_hash(raw), spent), Coin(txid + bytes(4), value, lock.script, lock.redeem)


def chain(shape: str, seed: int, blocks: int, *, cache: Path = CACHE) -> Path:
    """Return the folder of a chain with `blocks` blocks of traffic, made now where it is not there yet."""
    folder = cache / f"{shape}-{seed}-{blocks}"
    made_by = _generator_digest()
    if folder.is_dir() and facts(folder).made_by == made_by:
        return folder
    partial = cache / f".{folder.name}.{os.getpid()}.partial"
    partial.mkdir(parents=True)
    try:
        made = _write(partial, SHAPES[shape], seed, blocks, made_by)
        (partial / FACTS).write_text(json.dumps(asdict(made)))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _write(folder: Path, shape: Shape, seed: int, blocks: int, made_by: str) -> Facts:
    source = Traffic(shape, seed)
    digest, size = sha256(), 0
    with (
        (folder / BLOCKS).open("wb") as raws,
        (folder / SPENT).open("wb") as spents,
        (folder / INDEX).open("wb") as index,
        Progress(f"making {blocks} blocks of the chain '{shape.name}'", blocks) as progress,
    ):
        for number, mined in zip(range(1 - LEAD, blocks + 1), mine(source), strict=False):
            entry = (mined.hash, *_append(raws, mined.raw), *_append(spents, mined.spent))
            index.write(ENTRY.pack(*entry))
            digest.update(mined.hash)
            size += len(mined.raw) if number > 0 else 0
            progress.at(max(number, 0))
    count = source.counts
    return Facts(
        shape=shape.name,
        seed=seed,
        blocks=blocks,
        transactions=count["transactions"],
        operations=count["operations"],
        rejected=count["invalid"] + count["unknown"],
        addresses=count["addresses"],
        first_seen=count["first_seen"],
        size=size,
        digest=digest.hexdigest(),
        made_by=made_by,
    )


def _append(file: BinaryIO, data: bytes) -> tuple[int, int]:
    at = file.tell()
    file.write(data)
    return at, len(data)


def _generator_digest() -> str:
    """Name the code that makes chains: one made by other code is made anew."""
    files = (__file__, coins.__file__, tokens.__file__, traffic.__file__)
    return sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()
