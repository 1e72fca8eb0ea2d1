"""Wrong rows, one at a time, in every table: what the tools must find and mend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql

from indexer.store.rows import height_of

if TYPE_CHECKING:
    from indexer.store.connection import Connection

BYTES = b"\xab" * 32


@dataclass(frozen=True)
class Fault:
    """One wrong row: `pick` selects its key, `change` makes it wrong.

    `is_seen` tells whether recomputing shows it; if not, it takes the node's own blocks. `is_outside` says that the row
    belongs to no block of the chain, so that none of them differs.
    """

    name: str
    table: str
    change: str
    pick: str = "SELECT NULL"
    is_seen: bool = True
    is_outside: bool = False

    def plant(self, connection: Connection) -> Planted:
        """Do it."""
        row = connection.execute(sql.SQL(self.pick)).fetchone()
        assert row is not None, f"there is no row for {self.name}"
        done = connection.execute(sql.SQL(self.change), {"key": row[0], "bytes": BYTES})
        assert done.rowcount == 1, f"{self.name} changed {done.rowcount} rows"
        if self.is_outside or self.table not in {"blocks", "operations"}:
            return Planted(row[0], None)
        return Planted(row[0], row[0] if self.table == "blocks" else height_of(row[0]))


class Planted(NamedTuple):
    """The key of the wrong row, and the block that differs by it."""

    key: Any
    block: int | None


UPDATE = "UPDATE index.{} SET {} WHERE {} = {}"
DELETE = "DELETE FROM index.{} WHERE {} = {}"
OPERATION_WHERE = "SELECT {} FROM index.operations o WHERE {} ORDER BY op_id OFFSET {}"
PLACE_WHERE = "SELECT ctid::text FROM index.{} WHERE {} ORDER BY {} OFFSET 2"
PLACE = ("ctid", "%(key)s::tid")

MIDDLE = "SELECT height FROM index.blocks WHERE op_count > 3 ORDER BY height OFFSET 8"
LAST = "SELECT max(height) FROM index.blocks"


def of_block(name: str, values: str, pick: str = MIDDLE, *, is_seen: bool = True) -> Fault:
    return Fault(f"block: {name}", "blocks", UPDATE.format("blocks", values, "height", "%(key)s"), pick, is_seen)


def block_gone(name: str, pick: str) -> Fault:
    return Fault(f"block: {name}", "blocks", DELETE.format("blocks", "height", "%(key)s"), pick)


def of_operation(name: str, values: str, where: str, *, offset: int = 0, is_seen: bool = True) -> Fault:
    change = UPDATE.format("operations", values, "op_id", "%(key)s")
    return Fault(f"operation: {name}", "operations", change, OPERATION_WHERE.format("op_id", where, offset), is_seen)


def operation_gone(name: str, where: str) -> Fault:
    change = DELETE.format("operations", "op_id", "%(key)s")
    return Fault(f"operation: {name}", "operations", change, OPERATION_WHERE.format("op_id", where, 5))


def of(table: str, name: str, values: str, key: str, where: str = "true") -> Fault:
    change = UPDATE.format(table, values, *PLACE)
    return Fault(f"{table}: {name}", table, change, PLACE_WHERE.format(table, where, key))


def gone(table: str, name: str, key: str, where: str = "true") -> Fault:
    return Fault(f"{table}: {name}", table, DELETE.format(table, *PLACE), PLACE_WHERE.format(table, where, key))


VALID = "error IS NULL AND amount > 0"
INSERT_OPERATION = (
    "INSERT INTO index.operations (op_id, tx_index, txid, vout, op, ticker, amount, recipient, is_marketplace)"
    " SELECT {}, tx_index, txid, vout, op, ticker, amount, recipient, false"
    " FROM index.operations WHERE op = 'mint' AND error IS NULL ORDER BY op_id LIMIT 1"
)
LAST_OF_BLOCK = "op_id & 1048575 > 2 AND NOT EXISTS (SELECT FROM index.operations n WHERE n.op_id = o.op_id + 1)"
# The sender's other operations are none of a step, so that nothing but the column tells.
ALONE = "step IS NULL AND op_id & 1048575 = 0 AND op = 'transfer' AND ticker IS NOT NULL"

CHAIN = [
    Fault("chain: a lower tip", "chain", "UPDATE index.chain SET tip_height = tip_height - 2"),
    Fault("chain: a higher tip", "chain", "UPDATE index.chain SET tip_height = tip_height + 2"),
    Fault("chain: another tip's hash", "chain", "UPDATE index.chain SET tip_hash = %(bytes)s"),
    Fault("chain: no row", "chain", "DELETE FROM index.chain"),
    Fault("chain: undo data promised that is not there", "undo_balances", "UPDATE index.chain SET undo_from = 2"),
    Fault("chain: undo data forgotten", "undo_balances", "UPDATE index.chain SET undo_from = undo_from + 5"),
    Fault("chain: undo data before the first block", "chain", "UPDATE index.chain SET undo_from = -1"),
]
BLOCKS = [
    of_block("another hash", "hash = %(bytes)s"),
    of_block("another hash at the tip", "hash = %(bytes)s", LAST),
    of_block("another previous hash", "prev_hash = %(bytes)s"),
    of_block("one operation more", "op_count = op_count + 1"),
    of_block("one operation less", "op_count = op_count - 1"),
    of_block("another events hash", "events_hash = %(bytes)s"),
    of_block("another state hash", "state_hash = %(bytes)s"),
    of_block("another state hash at the tip", "state_hash = %(bytes)s", LAST),
    of_block("both hashes", "events_hash = %(bytes)s, state_hash = %(bytes)s"),
    of_block("another digest", "state_digest = %(bytes)s"),
    of_block("another digest at the tip", "state_digest = %(bytes)s", LAST),
    block_gone("gone", MIDDLE),
    block_gone("gone, an empty one", "SELECT 1"),
    block_gone("gone at the tip", LAST),
    Fault(
        "block: one too many at the tip",
        "blocks",
        "INSERT INTO index.blocks SELECT height + 1, %(bytes)s, hash, time, op_count, events_hash, state_hash,"
        " state_digest FROM index.blocks WHERE height = %(key)s - 1",
        "SELECT max(height) + 1 FROM index.blocks",
    ),
    Fault(
        "block: one before the first",
        "blocks",
        "INSERT INTO index.blocks SELECT 0, %(bytes)s, prev_hash, time, 0, events_hash, state_hash, state_digest"
        " FROM index.blocks WHERE height = 1",
        "SELECT 0",
        is_outside=True,
    ),
    of_block("another time", "time = time + interval '1 second'", is_seen=False),
    of_block("another previous hash of the first", "prev_hash = %(bytes)s", "SELECT 1", is_seen=False),
]
OPERATIONS = [
    of_operation("another transaction", "txid = %(bytes)s", VALID, offset=9),
    of_operation("another output", "vout = vout + 1", VALID, offset=9),
    of_operation("a step that is none", "step = 0", f"{VALID} AND step IS NULL", offset=9),
    of_operation("another step", "step = step + 1", "step = 1", offset=1),
    of_operation("another operation", "op = 'burn'", f"{VALID} AND op = 'mint'", offset=9),
    of_operation("an operation that nobody knows", "op = 'mind'", f"{VALID} AND op = 'mint'", offset=9),
    of_operation("another ticker", "ticker = ticker || 'X'", VALID, offset=9),
    of_operation("no ticker", "ticker = NULL", VALID, offset=9),
    of_operation("an empty ticker", "ticker = ''", VALID, offset=9),
    of_operation("another amount", "amount = amount + 0.00000001", VALID, offset=9),
    of_operation("no amount", "amount = NULL", VALID, offset=9),
    of_operation("an amount that is no number", "amount = 'NaN'", VALID, offset=9),
    of_operation("a negative amount", "amount = -1", VALID, offset=9),
    of_operation("another maximum", "max_supply = max_supply + 1", "op = 'deploy' AND error IS NULL"),
    of_operation("no maximum", "max_supply = NULL", "op = 'deploy' AND error IS NULL"),
    of_operation("another limit", "limit_per_mint = limit_per_mint + 1", "op = 'deploy' AND error IS NULL"),
    of_operation("no limit", "limit_per_mint = NULL", "op = 'deploy' AND error IS NULL AND limit_per_mint > 0"),
    of_operation("a deploy with an amount", "amount = 1", "op = 'deploy' AND error IS NULL"),
    of_operation("a mint with a maximum", "max_supply = 1", f"{VALID} AND op = 'mint'", offset=9),
    of_operation("a mint on the marketplace", "is_marketplace = true", f"{VALID} AND op = 'mint'", offset=9),
    of_operation("another sender", "sender = 'nobody'", f"{VALID} AND op = 'transfer'", offset=9),
    of_operation("no recipient", "recipient = NULL", f"{VALID} AND op = 'transfer'", offset=9),
    of_operation("valid that was not", "error = NULL", "error = 'INSUFFICIENT_BALANCE'"),
    of_operation("valid that has no ticker", "error = NULL", "ticker IS NULL"),
    of_operation("invalid that was valid", "error = 'INSUFFICIENT_BALANCE'", VALID, offset=9),
    of_operation("invalid by another code", "error = 'TICKER_NOT_DEPLOYED'", "error = 'INSUFFICIENT_BALANCE'"),
    of_operation("invalid by a code that there is none of", "error = 'RAIN'", "error IS NOT NULL", offset=3),
    of_operation("invalid by its form", "error = 'NO_RECEIVER_OUTPUT'", f"{VALID} AND step = 0"),
    of_operation(
        "invalid by the marketplace", "error = 'INVALID_MARKETPLACE_TRANSACTION'", f"{VALID} AND op = 'transfer'"
    ),
    of_operation("another place in the block", "tx_index = 9999", "step IS NULL AND op_id & 1048575 = 1", offset=5),
    of_operation("another id", "op_id = op_id + 100", LAST_OF_BLOCK, offset=4),
    operation_gone("gone", f"{VALID} AND op_id & 1048575 = 1"),
    operation_gone("the last of a block gone", LAST_OF_BLOCK),
    Fault(
        "operation: one too many",
        "operations",
        INSERT_OPERATION.format("%(key)s"),
        OPERATION_WHERE.format("op_id + 1", LAST_OF_BLOCK, 5),
    ),
    Fault(
        "operation: one in an empty block",
        "operations",
        INSERT_OPERATION.format("%(key)s"),
        "SELECT height::bigint << 20 FROM index.blocks WHERE op_count = 0 ORDER BY height",
    ),
    Fault(
        "operation: one above the tip",
        "operations",
        INSERT_OPERATION.format("%(key)s"),
        "SELECT (max(height)::bigint + 1) << 20 FROM index.blocks",
        is_outside=True,
    ),
    of_operation("a place that changes no order", "tx_index = tx_index + 500", LAST_OF_BLOCK, is_seen=False),
    of_operation("on the marketplace", "is_marketplace = NOT is_marketplace", ALONE, is_seen=False),
]
CREATED = "INSERT INTO index.deploys (ticker, max_supply, minted, height, txid) VALUES ('NEW', 5, 0, 3, %(bytes)s)"
DEPLOYS = [
    of("deploys", "another ticker", "ticker = ticker || 'X'", "ticker"),
    of("deploys", "another maximum", "max_supply = max_supply + 1", "ticker"),
    of("deploys", "another limit", "limit_per_mint = 77777", "ticker"),
    of("deploys", "another amount minted", "minted = minted - 0.00000001", "ticker", "minted > 0"),
    of("deploys", "another height", "height = height + 1", "ticker"),
    of("deploys", "another transaction", "txid = %(bytes)s", "ticker"),
    of("deploys", "another deployer", "deployer = 'nobody'", "ticker"),
    gone("deploys", "gone", "ticker"),
    Fault("deploys: one too many", "deploys", CREATED),
]
NEW_BALANCE = (
    "INSERT INTO index.balances (ticker, address, amount, height)"
    " SELECT ticker, 'nobody', {}, 3 FROM index.deploys LIMIT 1"
)
BALANCES = [
    of("balances", "another amount", "amount = amount + 0.00000001", "ticker, address"),
    of("balances", "another height", "height = height + 1", "ticker, address"),
    of("balances", "another address", "address = 'nobody'", "ticker, address", "amount > 0"),
    of("balances", "another ticker", "ticker = ticker || 'X'", "ticker, address"),
    of("balances", "an amount that is no number", "amount = 'NaN'", "ticker, address"),
    gone("balances", "gone", "ticker, address", "amount > 0"),
    gone("balances", "an empty one gone", "ticker, address", "amount = 0"),
    Fault("balances: one too many", "balances", NEW_BALANCE.format(5)),
    Fault("balances: an empty one too many", "balances", NEW_BALANCE.format(0)),
]
UNDO = [
    of("undo_deploys", "another amount minted", "minted = 0.5", "height, ticker_key"),
    of("undo_deploys", "another block", "height = height + 1000", "height, ticker_key"),
    of("undo_deploys", "another ticker", "ticker_key = %(bytes)s", "height, ticker_key"),
    gone("undo_deploys", "gone", "height, ticker_key"),
    Fault(
        "undo_deploys: one too many",
        "undo_deploys",
        "INSERT INTO index.undo_deploys SELECT undo_from, %(bytes)s, NULL FROM index.chain",
    ),
    of("undo_balances", "another amount", "amount = 0.5", "height, ticker_key, address", "amount > 1"),
    of("undo_balances", "no amount", "amount = NULL", "height, ticker_key, address", "amount > 1"),
    of("undo_balances", "another height before", "amount_height = 1", "height, ticker_key, address", "amount > 1"),
    gone("undo_balances", "gone", "height, ticker_key, address"),
    Fault(
        "undo_balances: one too many",
        "undo_balances",
        "INSERT INTO index.undo_balances SELECT undo_from, %(bytes)s, 'nobody', 1, 1 FROM index.chain",
    ),
    Fault(
        "undo_balances: one that is out of the window",
        "undo_balances",
        "INSERT INTO index.undo_balances SELECT undo_from - 1, %(bytes)s, 'nobody', 1, 1 FROM index.chain",
    ),
]
FAULTS = [*CHAIN, *BLOCKS, *OPERATIONS, *DEPLOYS, *BALANCES, *UNDO]
