"""The transactions of a block: BRC-20 operations among ordinary payments, all of them valid to a node."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.coins import Builder, Built, Coin, Lock, Locks, Output, op_return
from tests.bench.tokens import LIMIT, MAXIMUM, UNIT, Holding, Tokens, deploy_payload, payload

if TYPE_CHECKING:
    from collections.abc import Callable

DUST = 546
SPENDABLE = 10_000  # satoshi: a coin that splitting left smaller is given up
CHAINED = 0.1  # of the payments spend an output of their own block
FIRST_SEEN = 0.8  # of the recipients are new addresses


@dataclass(frozen=True, slots=True)
class Shape:
    """What blocks look like. Weights are those of 1, 2, 3 ... inputs and outputs of ordinary payments."""

    name: str
    transactions: int
    operations: int
    inputs: tuple[float, ...] = (0.7, 0.3)
    outputs: tuple[float, ...] = (0.2, 0.8)
    nested: float = 0.0
    runestones: int = 0
    inscriptions: int = 0
    inscription_bytes: int = 0

    @property
    def pool(self) -> int:
        """How many coins go round: so many that most of them rest for some blocks."""
        return 4 * self.transactions


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("default", transactions=200, operations=50),
        Shape("tip", transactions=4_000, operations=500),
        # Nearly nothing but operations: a large index from few blocks, for what restores it.
        Shape("dense", transactions=520, operations=500),
        Shape(
            "mainnet",
            transactions=3_000,
            operations=50,
            inputs=(0.55, 0.3, 0.15),
            outputs=(0.1, 0.6, 0.2, 0.1),
            nested=0.1,
            runestones=150,
            inscriptions=150,
            inscription_bytes=3_300,
        ),
    )
}


@dataclass
class Traffic:
    """Makes transactions one after the other, each spending what came before."""

    shape: Shape
    seed: int
    pool: deque[Coin] = field(default_factory=deque)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        name = f"{self.shape.name} {self.seed}"
        self.rng = random.Random(f"traffic {name}")
        self.locks = Locks(name, self.shape.nested)
        self.builder = Builder(name)
        self.tokens = Tokens(random.Random(f"tokens {name}"))
        self._inputs = _cumulative(self.shape.inputs)
        self._outputs = _cumulative(self.shape.outputs)

    def fan_out(self, coinbases: list[Coin]) -> list[Built]:
        """Split mature coinbases into the pool's coins."""
        each = self.shape.pool // len(coinbases) + 1
        built = []
        for coinbase in coinbases:
            locks = [self.locks.spendable() for _ in range(each)]
            value = coinbase.value // each
            spare = Output(coinbase.value - value * each, b"\x6a")
            tx = self.builder.build((coinbase,), [*(Output(value, lock.script) for lock in locks), spare])
            self.pool.extend(tx.coin(vout, value, lock) for vout, lock in enumerate(locks))
            built.append(tx)
        return built

    def block(self) -> list[tuple[Built, bool]]:
        """Return a block's transactions without its coinbase, each with whether it carries operations."""
        makers = [(maker, True) for maker in self._operations()]
        makers += [(self._runestone, False)] * self.shape.runestones
        makers += [(self._inscription, False)] * self.shape.inscriptions
        makers += [(self._payment, False)] * (self.shape.transactions - 1 - len(makers))
        self.rng.shuffle(makers)
        self.counts["transactions"] += self.shape.transactions
        return [(maker(), speaks) for maker, speaks in makers]

    # --- operations ---------------------------------------------------------------------------------------------------
    def _operations(self) -> list[Callable[[], Built]]:
        kinds = ((0.075, self._invalid), (0.085, self._deploy), (0.54, self._mint), (1.0, self._transfer))
        makers: list[Callable[[], Built]] = []
        planned = 0
        while planned < self.shape.operations:
            draw, left = self.rng.random(), self.shape.operations - planned
            steps = 2 + int(self.rng.random() * 3)
            if draw < 0.02 and steps <= left:
                makers.append(partial(self._transfer, steps))
                planned += steps
                continue
            makers.append(next(maker for limit, maker in kinds if draw < limit))
            planned += 1
        return makers

    def _deploy(self) -> Built:
        return self._say(deploy_payload(self.tokens.deploy().name), "deploy")

    def _mint(self) -> Built:
        if not self.tokens.open:
            return self._deploy()
        token = self.tokens.token()
        units = self.tokens.mint(token)
        return self._say(payload("mint", token.name, units), "mint", credit=(token.name, units))

    def _transfer(self, steps: int = 1) -> Built:
        if not self.tokens.holdings:
            return self._mint()
        holding = self.tokens.take()
        everything = steps == 1 and self.rng.random() < 0.4
        units = holding.units if everything else holding.units // (steps + 1)
        said = [payload("transfer", holding.token, units)] * steps
        holding.units -= units * steps
        return self._speak(said, "transfer", sender=holding, credit=(holding.token, units))

    def _invalid(self) -> Built:
        """An operation that the rules reject: of six kinds."""
        if not self.tokens.holdings or not self.tokens.open:
            return self._mint()
        token = self.tokens.token()
        draw = int(self.rng.random() * 6)
        if draw == 5:
            # Read no further than its `op`: the one row without addresses.
            return self._say(payload("wrap", token.name, UNIT), "unknown")
        if draw == 0:
            holding = self.tokens.take()
            said = payload("transfer", holding.token, holding.units + MAXIMUM * UNIT)
            return self._speak([said], "invalid", sender=holding)
        texts = (
            payload("mint", token.name, (LIMIT + 1) * UNIT),
            payload("mint", "nobodydeployedthis", UNIT),
            deploy_payload(token.name),
            payload("mint", token.name, UNIT).replace(b'"amt":"1"', b'"amt":"1e3"'),
        )
        return self._say(texts[draw - 1], "invalid")

    def _say(self, said: bytes, kind: str, credit: tuple[str, int] | None = None) -> Built:
        return self._speak([said], kind, credit=credit)

    def _speak(
        self, said: list[bytes], kind: str, *, sender: Holding | None = None, credit: tuple[str, int] | None = None
    ) -> Built:
        """Write payloads, each with its recipient after it; the first input says who the sender is."""
        funder = self._funder()
        inputs = (funder,) if sender is None else (sender.coin, funder)
        recipients = [self._recipient() for _ in said]
        outputs: list[Output] = []
        for text, recipient in zip(said, recipients, strict=True):
            outputs += (Output(0, op_return(text)), Output(DUST, recipient.script))
        if sender is not None:
            outputs.append(Output(sender.coin.value, sender.coin.script))
        change, value = self._change(funder), funder.value - DUST * len(said)
        outputs.append(Output(value, change.script))
        built = self.builder.build(inputs, outputs)
        self.pool.append(built.coin(len(outputs) - 1, value, change))
        if sender is not None and sender.units:
            sender.coin = built.coin(len(outputs) - 2, sender.coin.value, sender.lock)
            self.tokens.hold(sender)
        for number, recipient in enumerate(recipients if credit else ()):
            if recipient.spendable and credit and credit[1]:
                coin = built.coin(2 * number + 1, DUST, recipient)
                self.tokens.hold(Holding(*credit, coin, recipient))
        self.counts["operations"] += len(said)
        self.counts[kind] += len(said)
        if kind != "unknown":
            self.counts["addresses"] += 2 * len(said)
        return built

    def _recipient(self) -> Lock:
        if self.rng.random() >= FIRST_SEEN and self.tokens.holdings:
            return self.tokens.anyone()
        self.counts["first_seen"] += 1
        return self.locks.spendable() if self.rng.random() < 0.7 else self.locks.final()

    # --- ordinary payments --------------------------------------------------------------------------------------------
    def _funder(self) -> Coin:
        while True:
            coin = self.pool.pop() if self.rng.random() < CHAINED else self.pool.popleft()
            if coin.value > SPENDABLE:
                return coin

    def _change(self, coin: Coin) -> Lock:
        if self.rng.random() < 0.5:
            return Lock(coin.script, coin.redeem)
        return self.locks.spendable()

    def _runestone(self) -> Built:
        return self._payment(extra=b"\x6a\x5d\x0c" + self.rng.randbytes(12))

    def _inscription(self) -> Built:
        return self._payment(inscription=int(self.rng.random() * 2 * self.shape.inscription_bytes) + 1)

    def _payment(self, extra: bytes = b"", inscription: int = 0) -> Built:
        """Pay from the pool back into it, or to others while it is full enough."""
        inputs = tuple(self._funder() for _ in range(_pick(self._inputs, self.rng.random())))
        paid = _pick(self._outputs, self.rng.random()) - 1
        full = len(self.pool) + len(inputs) > self.shape.pool
        locks = [self.locks.final() if full else self.locks.spendable() for _ in range(paid)]
        total = sum(coin.value for coin in inputs)
        values = [DUST if full else total // (paid + 1)] * paid
        locks.append(self._change(inputs[0]))
        values.append(total - sum(values))
        outputs = [Output(value, lock.script) for value, lock in zip(values, locks, strict=True)]
        if extra:
            outputs.append(Output(0, extra))
        built = self.builder.build(inputs, outputs, inscription)
        for vout, (value, lock) in enumerate(zip(values, locks, strict=True)):
            if lock.spendable:
                self.pool.append(built.coin(vout, value, lock))
        return built


def _cumulative(weights: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sum(weights[: number + 1]) for number in range(len(weights) - 1))


def _pick(limits: tuple[float, ...], draw: float) -> int:
    return 1 + sum(draw >= limit for limit in limits)
