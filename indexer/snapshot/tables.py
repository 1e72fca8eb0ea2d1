"""The tables of a snapshot, as PostgreSQL's COPY text.

Explicit columns in key order, so that the same state gives the same bytes. Generated columns are left out; the database
makes them again.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from indexer.store.rows import OPERATION_COLUMNS, BlockRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.store.connection import Connection

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
NULL = b"\\N"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the schema `index`: the columns that are kept and the key that orders them."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    is_undo: bool = False

    def copy_out(self, undo_from: int) -> sql.Composed:
        """Return the statement that reads the table, undo data only from a height on."""
        return sql.SQL("COPY (SELECT {} FROM {}{} ORDER BY {}) TO STDOUT").format(
            _names(self.columns),
            sql.Identifier("index", self.name),
            sql.SQL(" WHERE height >= {}").format(undo_from) if self.is_undo else sql.SQL(""),
            _names(self.key),
        )

    def copy_in(self) -> sql.Composed:
        """Return the statement that fills the table."""
        return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier("index", self.name), _names(self.columns))


BLOCKS = Table("blocks", BlockRow._fields, ("height",))
OPERATIONS = Table("operations", OPERATION_COLUMNS, ("op_id",))
DEPLOYS = Table(
    "deploys", ("ticker", "max_supply", "limit_per_mint", "minted", "height", "txid", "deployer"), ("ticker_key",)
)
BALANCES = Table("balances", ("ticker", "address", "amount", "height"), ("ticker_key", "address"))
UNDO_DEPLOYS = Table("undo_deploys", ("height", "ticker_key", "minted"), ("height", "ticker_key"), is_undo=True)
UNDO_BALANCES = Table(
    "undo_balances",
    ("height", "ticker_key", "address", "amount", "amount_height"),
    ("height", "ticker_key", "address"),
    is_undo=True,
)
TABLES = (BLOCKS, OPERATIONS, DEPLOYS, BALANCES, UNDO_DEPLOYS, UNDO_BALANCES)


def settle_format(connection: Connection) -> None:
    """Make the open transaction write values in one form, whatever the server and the role are set to."""
    connection.execute("SET LOCAL TimeZone = 'UTC'")
    connection.execute("SET LOCAL DateStyle = 'ISO, YMD'")
    connection.execute("SET LOCAL bytea_output = 'hex'")


@contextmanager
def lines(connection: Connection, table: Table, undo_from: int) -> Iterator[Iterator[bytes]]:
    """Read a table's rows in key order, each as its line of COPY text; whoever stops early must leave the `with`."""
    with connection.cursor() as cursor, cursor.copy(table.copy_out(undo_from)) as copy:
        yield map(bytes, copy)  # the server sends one row a message


def split(line: bytes) -> list[bytes]:
    """Return the columns of a line, to be read by the functions below."""
    return line[:-1].split(b"\t")


def text(column: bytes) -> str | None:
    """Return a text column, None for NULL."""
    if column == NULL:
        return None
    value = column.decode()
    return _ESCAPE.sub(_unescape, value) if "\\" in value else value


def blob(column: bytes) -> bytes:
    """Return a bytea column, which is never NULL here."""
    return bytes.fromhex(column.removeprefix(b"\\\\x").decode())


def number(column: bytes) -> int:
    """Return an integer column, which is never NULL here."""
    return int(column)


def units(column: bytes) -> int | None:
    """Return a numeric(38, 8) column in 10⁻⁸ units, None for NULL."""
    return None if column == NULL else int(column.replace(b".", b""))


def _unescape(match: re.Match[str]) -> str:
    return _UNESCAPED.get(match[1], match[1])


def _names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
