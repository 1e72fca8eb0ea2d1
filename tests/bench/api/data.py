"""What the database holds: a deterministic history whose tickers and addresses differ in popularity as real ones do."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

import psycopg

from indexer.bitcoin.address import segwit
from indexer.store.connection import connect
from indexer.store.partitions import ensure_partition, partition_of
from indexer.store.rows import OPERATION_COLUMNS, first_op_id
from tests.bench.api.load import zipf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Row = tuple[Any, ...]

FIRST_HEIGHT = 900_000
FIRST_TIME = datetime(2025, 6, 1, tzinfo=UTC)
BLOCK_TIME = timedelta(minutes=10)
UNIT = 10**8
LIMIT = 1_000  # a mint
MAXIMUM = 1_000_000_000
STRIDE = 7_919  # a prime: the windows of holders start at each trader once
BALANCES = ("ticker", "address", "amount", "height")
DEPLOYS = ("ticker", "max_supply", "limit_per_mint", "minted", "height", "txid", "deployer")
BLOCKS = ("height", "hash", "prev_hash", "time", "op_count", "events_hash", "state_hash", "state_digest")
CHAIN = ("cluster", "network", "start_height", "marketplace_height", "tip_height", "tip_hash", "undo_from")
BIG = ("operations", "balances")  # tables of which no query may read everything


@dataclass(frozen=True, slots=True)
class Shape:
    """How much there is. Every ticker has `floor` holders, and every trader `floor` operations: bodies of 100 rows."""

    tickers: int = 5_000
    traders: int = 5_000
    others: int = 45_000
    floor: int = 105
    popular: int = 100_000  # operations that go by popularity, to anyone
    per_block: int = 140

    def quick(self) -> Shape:
        return Shape(tickers=400, traders=400, others=3_600, popular=8_000)

    @property
    def operations(self) -> int:
        return self.tickers * (1 + self.floor) + self.popular

    @property
    def first(self) -> int:
        return FIRST_HEIGHT

    @property
    def tip(self) -> int:
        return FIRST_HEIGHT + -(-self.operations // self.per_block) - 1

    def name(self, ticker: int) -> str:
        return f"B{ticker:04X}"

    def address(self, number: int) -> str:
        """Return the address of a trader (below `traders`) or of one of the others."""
        return segwit("bc", 1, sha256(b"address %d" % number).digest())

    def holder(self, ticker: int, number: int) -> int:
        """Return the trader that is one of a ticker's `floor` holders."""
        return (ticker * STRIDE + number) % self.traders


class _Place(NamedTuple):
    """Where an operation stands."""

    height: int
    at: int
    txid: bytes

    def row(
        self,
        op: str,
        ticker: str,
        amounts: tuple[str | None, int | None, int | None],
        sides: tuple[str | None, str | None, str | None],
    ) -> Row:
        """Return a row; `amounts` are amount, maximum and limit, `sides` sender, recipient and error."""
        *parties, error = sides
        op_id = first_op_id(self.height) | self.at
        return (op_id, self.at, self.txid, 0, None, op, ticker, *amounts, *parties, False, error)


_DEPLOY, _ANYONE = -1, -2  # in the place of a holder


@dataclass
class History:
    """The operations one after the other, and what they add up to."""

    shape: Shape
    rng: random.Random = field(default_factory=lambda: random.Random(5))
    balances: dict[tuple[int, int], list[int]] = field(default_factory=dict)  # units and height
    holders: list[list[int]] = field(init=False)
    minted: list[int] = field(init=False)
    deployed: list[Row] = field(default_factory=list)
    addresses: list[str] = field(init=False)

    def __post_init__(self) -> None:
        shape = self.shape
        self.holders = [[] for _ in range(shape.tickers)]
        self.minted = [0] * shape.tickers
        self.addresses = [shape.address(number) for number in range(shape.traders + shape.others)]

    def rows(self) -> Iterator[Row]:
        """Yield the rows of `index.operations`."""
        for number, (ticker, holder) in enumerate(self._order()):
            block, at = divmod(number, self.shape.per_block)
            place = _Place(FIRST_HEIGHT + block, at, sha256(b"operation %d" % number).digest())
            if holder == _DEPLOY:
                yield self._deploy(place, ticker)
            elif holder == _ANYONE:
                yield self._popular(place, ticker)
            else:
                yield self._mint(place, ticker, self.shape.holder(ticker, holder))

    def balance_rows(self) -> Iterator[Row]:
        for (ticker, address), (units, height) in self.balances.items():
            yield self.shape.name(ticker), self.addresses[address], _amount(units), height

    def deploy_rows(self) -> Iterator[Row]:
        for ticker, (height, txid, deployer) in enumerate(self.deployed):
            yield self.shape.name(ticker), MAXIMUM, LIMIT, _amount(self.minted[ticker]), height, txid, deployer

    def _order(self) -> Iterator[tuple[int, int]]:
        shape = self.shape
        drawn = self.rng.choices(range(shape.tickers), cum_weights=zipf(shape.tickers), k=shape.popular)
        later = [(ticker, holder) for ticker in range(shape.tickers) for holder in range(shape.floor)]
        later += [(ticker, _ANYONE) for ticker in drawn]
        self.rng.shuffle(later)
        yield from ((ticker, _DEPLOY) for ticker in range(shape.tickers))
        yield from later

    def _deploy(self, place: _Place, ticker: int) -> Row:
        deployer = self.addresses[ticker % self.shape.traders]
        self.deployed.append((place.height, place.txid, deployer))
        return place.row("deploy", self.shape.name(ticker), (None, MAXIMUM, LIMIT), (deployer, None, None))

    def _popular(self, place: _Place, ticker: int) -> Row:
        recipient = int(self.rng.random() * len(self.addresses))
        holders = self.holders[ticker]
        if not holders or self.rng.random() < 0.5:
            return self._mint(place, ticker, recipient)
        sender = holders[int(self.rng.random() * len(holders))]
        name, sides = self.shape.name(ticker), (self.addresses[sender], self.addresses[recipient])
        units = self.balances[ticker, sender][0] // 2
        if not units or self.rng.random() < 0.1:
            return place.row("transfer", name, (str(MAXIMUM), None, None), (*sides, "INSUFFICIENT_BALANCE"))
        self._credit(ticker, sender, -units, place.height)
        self._credit(ticker, recipient, units, place.height)
        return place.row("transfer", name, (_amount(units), None, None), (*sides, None))

    def _mint(self, place: _Place, ticker: int, recipient: int) -> Row:
        units = 1 + int(self.rng.random() * LIMIT * UNIT)
        self.minted[ticker] += units
        self._credit(ticker, recipient, units, place.height)
        name, address = self.shape.name(ticker), self.addresses[recipient]
        return place.row("mint", name, (_amount(units), None, None), (None, address, None))

    def _credit(self, ticker: int, address: int, units: int, height: int) -> None:
        found = self.balances.get((ticker, address))
        if found is None:
            self.balances[ticker, address] = [units, height]
            self.holders[ticker].append(address)
        else:
            found[0] += units
            found[1] = height


def fill(database_url: str, shape: Shape) -> None:
    """Write the history into a migrated, empty database, and let the server know what it has."""
    history = History(shape)
    with connect(database_url) as connection:
        with connection.transaction():
            for number in range(partition_of(FIRST_HEIGHT), partition_of(shape.tip) + 1):
                ensure_partition(connection, number)
            _copy(connection, "operations", OPERATION_COLUMNS, history.rows())
            _copy(connection, "balances", BALANCES, history.balance_rows())
            _copy(connection, "deploys", DEPLOYS, history.deploy_rows())
            _copy(connection, "blocks", BLOCKS, _blocks(shape))
            _copy(connection, "chain", (*CHAIN, "node_height"), [_chain(shape)])
        connection.execute("VACUUM (ANALYZE)")


def block_hash(height: int) -> bytes:
    return sha256(b"block %d" % height).digest()


def block_time(height: int) -> datetime:
    return FIRST_TIME + BLOCK_TIME * (height - FIRST_HEIGHT)


def _blocks(shape: Shape) -> Iterator[Row]:
    for height in range(FIRST_HEIGHT, shape.tip + 1):
        hashes = (sha256(b"%s %d" % (kind, height)).digest() for kind in (b"events", b"state", b"digest"))
        yield (
            height,
            block_hash(height),
            block_hash(height - 1),
            block_time(height),
            min(shape.per_block, shape.operations - (height - FIRST_HEIGHT) * shape.per_block),
            *hashes,
        )


def _chain(shape: Shape) -> Row:
    tip = shape.tip
    return "default", "main", FIRST_HEIGHT, FIRST_HEIGHT, tip, block_hash(tip), tip - 100, tip


def _amount(units: int) -> str:
    return f"{units // UNIT}.{units % UNIT:08d}"


def _copy(
    connection: psycopg.Connection[Row], table: LiteralString, columns: Sequence[LiteralString], rows: Iterable[Row]
) -> None:
    statement = psycopg.sql.SQL("COPY index.{} ({}) FROM STDIN").format(
        psycopg.sql.Identifier(table), psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
