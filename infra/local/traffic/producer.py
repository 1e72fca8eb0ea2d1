"""Blocks full of traffic, one after another, on a ledger; no node is needed to make them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local.node.mining import build_block
from infra.local.node.wire import decode_block, decode_transaction
from infra.local.traffic.desk import FEE, Desk, Label, Unavailable
from infra.local.traffic.scenarios import play_one
from infra.local.traffic.tx import Output, Spend, build, op_return

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.local.traffic.ledger import Ledger

_COINBASE_NOTE_CHANCE = 0.03
_COINBASE_NOTE = op_return(b'{"p":"brc-20","op":"deploy","tick":"coinbase","m":"1"}')


@dataclass(frozen=True, slots=True)
class Produced:
    """A finished block and what was meant by it; hashes in wire order."""

    raw: bytes
    hash: bytes
    height: int
    transactions: int
    played: Mapping[str, int]
    labels: Mapping[bytes, Label]


@dataclass
class Producer:
    """Makes the next block on the ledger's tip; the same seed, chain and arguments give the same block."""

    seed: int | str
    ledger: Ledger
    operations: int

    def empty(self, time: int) -> Produced:
        """Make a block that only pays its miner."""
        return self._finish(self._desk("empty"), time, b"")

    def next(
        self, time: int, *, again: Sequence[bytes] = (), foreign: Sequence[bytes] = (), branch: str = ""
    ) -> Produced:
        """Make a block: first the finished transactions that still fit, then scenarios.

        `again` are ours from a lost block, `foreign` other people's, which the node has already checked; each in an
        order in which it follows those it spends. `branch` tells the blocks of one fork from those of another on the
        same parent.
        """
        desk = self._desk(branch)
        for raws, own in ((again, True), (foreign, False)):
            for raw in raws:
                if desk.fits(decode_transaction(raw), own=own):
                    desk.carry(raw)
        while desk.tidy():
            desk.played["tidy"] += 1
        try:
            for _ in range(desk.rng.randint(0, 2 * self.operations)):
                play_one(desk)
        except Unavailable:
            # An empty wallet: the block is still a good one.
            desk.played["nothing possible"] += 1
        return self._finish(desk, time, branch.encode()[:40])

    def replacements(self, orphans: Sequence[bytes], branch: str) -> list[bytes]:
        """Choose what becomes of a lost block's transactions: mined again, dropped, or spent otherwise.

        To be called on the ledger of the common ancestor. Those that follow a dropped one fall away when carried.
        """
        # Repeatable on purpose, and no secret: so too below.
        rng = random.Random(f"{self.seed}/{branch}/orphans/{self.ledger.tip.hex()}")  # noqa: S311  # nosec B311
        chosen: list[bytes] = []
        for raw in orphans:
            fate = rng.choices(("again", "dropped", "replaced"), (6, 2, 2))[0]
            rival = self._rival(raw, rng) if fate == "replaced" else None
            if fate == "again":
                chosen.append(raw)
            elif rival is not None:
                chosen.append(rival)
        return chosen

    def _rival(self, raw: bytes, rng: random.Random) -> bytes | None:
        owned = self.ledger.coins.get(decode_transaction(raw).inputs[0].outpoint)
        if owned is None or owned.coin.value <= FEE:
            return None
        receiver = rng.choice(self.ledger.wallet.parties)
        return build([Spend(owned.coin)], [Output(owned.coin.value - FEE, receiver.script)])

    def _desk(self, branch: str) -> Desk:
        self.ledger.open()
        rng = random.Random(f"{self.seed}/{branch}/{self.ledger.tip.hex()}")  # noqa: S311  # nosec B311
        return Desk(rng, self.ledger)

    def _finish(self, desk: Desk, time: int, extra: bytes) -> Produced:
        ledger = self.ledger
        time = max(time, ledger.earliest_time)
        reward = desk.rng.choice(ledger.wallet.parties).script
        if desk.transactions and desk.rng.random() < _COINBASE_NOTE_CHANCE:
            # Nobody may read a coinbase: here is one that tempts.
            reward = _COINBASE_NOTE
        raw = build_block(ledger.tip, desk.height, time, reward, desk.transactions, extra, desk.fees)
        block = decode_block(raw)
        ledger.add(block.transactions[0])
        ledger.close(block.header.hash, time, desk.transactions)
        count = len(block.transactions)
        return Produced(raw, block.header.hash, ledger.height, count, dict(desk.played), desk.labels)
