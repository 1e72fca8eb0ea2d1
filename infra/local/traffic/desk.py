"""Where scenarios make their transactions: coins taken, change given back, every step known to the ledger at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.local.node.wire import Output, decode_transaction
from infra.local.traffic.tx import Coin, Spend, build

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from infra.local.node.wire import Transaction
    from infra.local.traffic.ledger import Ledger
    from infra.local.traffic.tokens import Deploy
    from infra.local.traffic.wallet import Party, Wallet

FEE = 500
# What a payment to somebody carries, and the least that an input brings, in satoshi.
GIFT = 30_000
_LEAST = 250_000
_FUNDING, _FUNDINGS = 5_000_000, 4
_TREASURY = 4 * _FUNDING * _FUNDINGS // 3
_SMALL_CHANGE_LIMIT = 40
_MERGED_AT_ONCE = 25
_TICKERS_TRIED = 12


class Unavailable(Exception):  # noqa: N818 - no error: the chain is just not yet in the state that a scenario needs
    """A scenario cannot be played on this state; another one is tried."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a transaction was made for: the scenario, and the error codes its rows may have ("" for a valid one)."""

    scenario: str
    expect: tuple[str, ...]


@dataclass
class Desk:
    """The state of one block under construction, as scenarios see it."""

    rng: random.Random
    ledger: Ledger
    transactions: list[bytes] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    labels: dict[bytes, Label] = field(default_factory=dict)
    played: Counter[str] = field(default_factory=Counter)
    fees: int = 0
    _spent: set[bytes] = field(default_factory=set)
    _purse: dict[bytes, list[Coin]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the spendable coins by owner."""
        for coin in self.ledger.spendable():
            self._purse.setdefault(coin.script, []).append(coin)

    @property
    def wallet(self) -> Wallet:
        """All parties."""
        return self.ledger.wallet

    @property
    def height(self) -> int:
        """The height of the block under construction."""
        return self.ledger.height + 1

    def party(self, *others: Party) -> Party:
        """Return somebody with an address who is none of `others`."""
        return self.rng.choice([party for party in self.wallet.addressed if party not in others])

    def nameless(self) -> Party:
        """Return somebody without an address."""
        return self.rng.choice(self.wallet.nameless)

    def take(self, party: Party) -> Coin:
        """Return a coin of the party and hold it; fund the party first where it has none."""
        good = self._good(party)
        if not good:
            self._fund(party)
            good = self._good(party)
        # The newest half of the time: that is what makes chains of spends within a block.
        coin = good[-1] if self.rng.random() < 0.5 else self.rng.choice(good)
        self._purse[party.script].remove(coin)
        return coin

    def claim(self, txid: bytes, party: Party) -> Coin:
        """Return the coin that a transaction of this block just gave the party, and hold it."""
        coin = next(coin for coin in self._purse[party.script] if coin.txid == txid)
        self._purse[party.script].remove(coin)
        return coin

    def send(
        self, spends: Sequence[Spend], outputs: Sequence[Output], change: Party | None, *, locktime: int = 0
    ) -> bytes:
        """Sign and add a transaction; what is left above the fee goes to `change` as the last output.

        Without `change` what is left is the miner's. Returns the id in wire order.
        """
        rest = sum(s.coin.value for s in spends) - sum(o.value for o in outputs) - FEE
        if rest < 0:
            raise Unavailable("the inputs do not cover the outputs")
        extra = [Output(rest, change.script)] if change is not None else []
        return self.carry(build(spends, [*outputs, *extra], locktime=locktime))

    def fits(self, tx: Transaction, *, own: bool) -> bool:
        """Whether a finished transaction can still go into this block.

        With `own` every input must be a coin that we hold here; without, inputs that we know nothing about pass.
        """
        held = {coin.outpoint for coins in self._purse.values() for coin in coins}
        unknown = [item.outpoint for item in tx.inputs if item.outpoint not in held]
        return not any(own or outpoint in self.ledger.coins or outpoint in self._spent for outpoint in unknown)

    def carry(self, raw: bytes) -> bytes:
        """Add a finished transaction, ours or somebody else's; return its id in wire order."""
        tx = decode_transaction(raw)
        spent = {item.outpoint for item in tx.inputs}
        known = [self.ledger.coins[outpoint].coin.value for outpoint in spent if outpoint in self.ledger.coins]
        if len(known) == len(spent):
            self.fees += sum(known) - sum(output.value for output in tx.outputs)
        self._spent |= spent
        self.ledger.add(tx)
        for coins in self._purse.values():
            coins[:] = [coin for coin in coins if coin.outpoint not in spent]
        for vout, output in enumerate(tx.outputs):
            party = self.wallet.by_script.get(output.script)
            if party is not None:
                coin = Coin(tx.txid, vout, output.value, party.key, party.kind)
                self._purse.setdefault(party.script, []).append(coin)
        self.transactions.append(raw)
        self.ids.append(tx.txid)
        return tx.txid

    def gift(self, party: Party, value: int = GIFT) -> Output:
        """Return a payment to the party."""
        return Output(value, party.script)

    def holder(self) -> tuple[str, Party, int]:
        """Return (ticker, holder, units) of one balance at random; a ticker first, then who has some."""
        tickers = sorted(self.ledger.deploys)
        for ticker in self.rng.sample(tickers, min(len(tickers), _TICKERS_TRIED)):
            rows = [(party, self.balance(ticker, party)) for party in self.wallet.addressed]
            held = [row for row in rows if row[1]]
            if held:
                return ticker, *self.rng.choice(held)
        raise Unavailable("nobody holds a token")

    def balance(self, ticker: str, party: Party) -> int:
        """Return what the party holds, in units."""
        return self.ledger.balances.get((ticker, party.script), 0)

    def deploy(self, *, mintable: bool | None = None) -> tuple[str, Deploy]:
        """Return a deployed ticker at random: one that can (or can no longer) be minted, or any."""
        rows = sorted(self.ledger.deploys.items())
        if mintable is not None:
            rows = [row for row in rows if row[1].limit and (row[1].mintable > 0) is mintable]
        if not rows:
            raise Unavailable("no such ticker is deployed")
        return self.rng.choice(rows)

    def tidy(self) -> bool:
        """Merge one party's smallest coins where they have piled up; False where they have not."""
        for party in self.wallet.parties:
            coins = [coin for coin in self._purse.get(party.script, ()) if coin.value < _TREASURY]
            if len(coins) >= _SMALL_CHANGE_LIMIT:
                coins.sort(key=lambda coin: (coin.value, coin.outpoint))
                self.send([Spend(coin) for coin in coins[:_MERGED_AT_ONCE]], [], party)
                return True
        return False

    def _good(self, party: Party) -> list[Coin]:
        return [coin for coin in self._purse.get(party.script, ()) if _LEAST <= coin.value < _TREASURY]

    def _fund(self, party: Party) -> None:
        """Give a party a few coins out of the largest one there is."""
        coins = [coin for coins in self._purse.values() for coin in coins]
        largest = max(coins, key=lambda coin: (coin.value, coin.outpoint), default=None)
        if largest is None or largest.value < _TREASURY:
            raise Unavailable("the wallet is empty")
        owner = self.wallet.by_script[largest.script]
        self.send([Spend(largest)], [Output(_FUNDING, party.script)] * _FUNDINGS, owner)
