"""Where fuzzed blocks fall: the state of a chain before one of its blocks, by name, held by both implementations."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from indexer.bitcoin.script import Network
from indexer.protocol.apply import apply, touched
from indexer.protocol.hashing import EMPTY
from indexer.protocol.model import BalanceKey, Deploy, Position, State
from indexer.protocol.rules import Rules
from indexer.sync.prepare import Preparer
from infra.local.traffic.chain import random_chain
from tests import naive
from tests.fuzz.plain import twice
from tests.naive.rules import State as NaiveState
from tests.protocol import vectors
from tests.protocol.building import FUTURE, holder_script
from tests.protocol.harness import START_HEIGHT, raw_blocks
from tests.protocol.hostile import BLOCKS, hostile_chain
from tests.support import ours

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from indexer.bitcoin.block import OutPoint
    from indexer.bitcoin.source import NodeTip, Place
    from indexer.protocol.model import BlockDelta
    from indexer.sync.prepare import Prepared

HOSTILE, RANDOM = 40, 12  # chains of each kind
RANDOM_BLOCKS, OPERATIONS = 4, 12
HOLDERS = ("alice", "bob/p2tr", "carol/p2pkh", *(f"dave/{kind}" for kind in FUTURE), "erin/p2pk")
SCRIPTS = tuple(map(holder_script, HOLDERS))

Prevouts = "Callable[[bytes, int], bytes]"


@dataclass(frozen=True)
class Ground:
    """The state before a block, and that block as it was before anybody bent it."""

    rules: Rules
    block: bytes
    before: Position
    deploys: Mapping[str, Deploy]
    balances: Mapping[BalanceKey, int]
    naive_state: NaiveState
    known: Mapping[tuple[bytes, int], bytes]
    prevouts: Callable[[bytes, int], bytes]

    @property
    def height(self) -> int:
        return self.before.height + 1

    def script(self, txid: bytes, vout: int) -> bytes:
        """Return the script of any output made before the block; what nobody made belongs to some holder as well."""
        found = self.known.get((txid, vout))
        if found is not None:
            return found
        try:
            return self.prevouts(txid, vout)
        except (KeyError, AssertionError):
            return SCRIPTS[txid[-1] % len(SCRIPTS)]

    def prepare(self, raw: bytes) -> Prepared:
        """Prepare a block as the indexer does. Raises NodeError."""
        return Preparer(_Source(self, raw), self.rules).prepare(self.height, twice(raw[:80]))

    def apply(self, prepared: Prepared) -> BlockDelta:
        tickers, keys = touched(prepared.operations)
        state = State(
            {ticker: self.deploys[ticker] for ticker in tickers if ticker in self.deploys},
            {key: self.balances[key] for key in keys if key in self.balances},
        )
        return apply(prepared, prepared.operations, state, self.before, self.rules)

    def naive(self) -> NaiveState:
        return deepcopy(self.naive_state)


@dataclass(frozen=True)
class _Source:
    ground: Ground
    raw: bytes

    def tip(self) -> NodeTip:
        raise NotImplementedError

    def hashes(self, first: int, count: int) -> list[bytes]:
        raise NotImplementedError

    def raw_block(self, block_hash: bytes) -> bytes:
        assert block_hash
        return self.raw

    def scripts(self, spends: Mapping[OutPoint, Place], block_hash: bytes) -> dict[OutPoint, bytes]:
        assert block_hash
        return {outpoint: self.ground.script(*outpoint) for outpoint in spends}


def pick(rng: random.Random) -> str:
    """Return the name of a ground: all of them in a long run, a short one need not make them all."""
    return _names()[int(len(_names()) * rng.random() ** 4)]


@cache
def _names() -> list[str]:
    hostile = [f"hostile {seed} {number}" for seed in range(HOSTILE) for number in range(1, BLOCKS + 1)]
    named = [f"vector {vector.id}" for vector in vectors.load() if vector.blocks]
    names = [*hostile, *(f"random {seed}" for seed in range(RANDOM)), *named]
    random.Random(0).shuffle(names)
    return names


@cache
def ground(name: str) -> Ground:
    """Return the ground of this name."""
    kind, _, rest = name.partition(" ")
    if kind == "hostile":
        seed, number = map(int, rest.split())
        chain = hostile_chain(seed)
        return _ground(chain.blocks[: number + 1], chain.prevouts, 0, Rules(Network.REGTEST, 2))
    if kind == "random":
        height, blocks = random_chain(rest, RANDOM_BLOCKS, OPERATIONS, maturity=0, marketplace_height=4)
        return _ground(blocks, _nobody, height, Rules(Network.REGTEST, 4))
    vector = next(vector for vector in vectors.load() if vector.id == rest)
    built = vectors.build(vector)
    rules = Rules(Network(vector.network), START_HEIGHT + vector.marketplace_from)
    return _ground(raw_blocks(built), lambda txid, vout: built.scripts[txid, vout], START_HEIGHT, rules)


def _nobody(txid: bytes, vout: int) -> bytes:
    raise KeyError((txid, vout))


def _ground(blocks: Sequence[bytes], prevouts: Callable[[bytes, int], bytes], height: int, rules: Rules) -> Ground:
    before, last = blocks[:-1], blocks[-1]
    network, late = rules.network.value, rules.marketplace_height
    mine = ours.run(before, height, prevouts, network=network, marketplace_height=late)
    theirs = naive.run(before, height, prevouts, network=network, marketplace_height=late)
    position = Position(height - 1, EMPTY, EMPTY)
    if mine.blocks:
        top = mine.blocks[-1]
        position = Position(top.height, top.state_hash, top.state_digest.to_bytes(32))
    return Ground(
        rules=rules,
        block=last,
        before=position,
        deploys=mine.deploys,
        balances={BalanceKey(*key): units for key, units in mine.balances.items()},
        naive_state=NaiveState(theirs.deploys, theirs.balances),
        known={outpoint: script for raw in before for outpoint, script in ours.outputs_of(raw).items()},
        prevouts=prevouts,
    )
