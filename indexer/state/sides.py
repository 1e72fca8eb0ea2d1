"""The two sides of a comparison: a database, or another indexer's API."""

from __future__ import annotations

import ssl
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from indexer.api.shapes import NOT_INDEXED, operation
from indexer.bitcoin.block import display
from indexer.protocol.amount import format_amount
from indexer.settings import ConfigurationError, shown
from indexer.state.verify import snapshot
from indexer.store.connection import StoreError, StoreUnavailableError, place
from indexer.store.replayed import chain_row
from indexer.store.rows import first_op_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.store.chain import Identity
    from indexer.store.connection import Connection

T = TypeVar("T")
Row = dict[str, Any]

HTTP_TIMEOUT = 30.0  # seconds
MOST_OPERATIONS = 100_000  # what the API gives of a block at most
OK, NOT_FOUND = 200, 404


class OtherSideError(Exception):
    """The other indexer's API gives no usable answer: one line that says what to do."""


class StateAt(msgspec.Struct, frozen=True):
    """The values by which two indexers are compared at a height, in hex as people see them."""

    block_hash: str
    events_hash: str
    state_hash: str
    state_digest: str


class Side(Protocol):
    """One indexer. Methods raise StoreError, StoreUnavailableError or OtherSideError."""

    name: str
    identity: Identity | None  # None where it does not tell

    def tip(self) -> int:
        """Return the height of the last indexed block."""
        ...

    def state(self, height: int) -> StateAt | None:
        """Return the values at a height, None where that block is not indexed."""
        ...

    def operations(self, height: int) -> list[Row]:
        """Return the operations of a block, invalid ones too, by the names that the API gives to columns."""
        ...


class DatabaseSide:
    """A database, read through a connection that is in a transaction of one snapshot."""

    def __init__(self, connection: Connection, database_url: str) -> None:
        self.name = f"database {place(database_url)}"
        self._connection = connection
        chain = chain_row(connection)
        if chain is None:
            raise StoreError(f"{self.name} holds no index yet; run: simplicity sync")
        self.identity: Identity | None = chain.identity
        self._tip = chain.tip_height

    def tip(self) -> int:
        """Return the height of the last indexed block."""
        return self._tip

    def state(self, height: int) -> StateAt | None:
        """Return the values at a height."""
        row = self._connection.execute(
            "SELECT hash, events_hash, state_hash, state_digest FROM index.blocks WHERE height = %s", (height,)
        ).fetchone()
        return None if row is None else StateAt(display(row[0]), *(value.hex() for value in row[1:]))

    def operations(self, height: int) -> list[Row]:
        """Return the operations of a block; those of deploys with both of their amounts."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(
                "SELECT o.*, b.height, b.hash AS block_hash, b.time"
                " FROM index.operations o JOIN index.blocks b ON b.height = %s WHERE op_id >= %s AND op_id < %s"
                " ORDER BY op_id",
                (height, first_op_id(height), first_op_id(height + 1)),
            ).fetchall()
        return [operation(row) | {"limit_per_mint": _text(row["limit_per_mint"])} for row in rows]


class _Status(msgspec.Struct):
    last_indexed_block_main_chain: int


@contextmanager
def open_database(database_url: str, setting: str) -> Iterator[Side]:
    """Open a database for comparing; `setting` is where its URL came from.

    Raises ConfigurationError, StoreError and StoreUnavailableError; none shows the password.
    """
    try:
        conninfo_to_dict(database_url)
    except psycopg.Error:
        # What libpq says of a URL that it cannot read may hold the password.
        raise ConfigurationError(f"{setting} must look like postgresql://user:password@host:5432/database") from None
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(snapshot(database_url))
            side = DatabaseSide(connection, database_url)
        except (StoreError, StoreUnavailableError) as error:
            raise type(error)(str(error).replace("DATABASE_URL", setting)) from None
        yield side


@contextmanager
def open_api(url: str) -> Iterator[Side]:
    """Open an API for comparing; it is not asked anything yet. Raises ConfigurationError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError("--api must look like https://indexer.example.com")
    with closing(ApiSide(url)) as side:
        yield side


class _Problem(msgspec.Struct):
    detail: str


class _AllOps(msgspec.Struct):
    data: list[Row]


class ApiSide:
    """Another indexer's API. What it serves may move on while it is being read."""

    identity: Identity | None = None

    def __init__(self, url: str) -> None:
        self.name = f"API {shown(url)}"
        self._url = f"{url.rstrip('/')}/v1/indexer"
        self._http = httpx2.Client(timeout=HTTP_TIMEOUT, verify=ssl.create_default_context())

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def tip(self) -> int:
        """Return the height of the last indexed block."""
        return self._read(self._get("/brc20/status"), _Status).last_indexed_block_main_chain

    def state(self, height: int) -> StateAt | None:
        """Return the values at a height."""
        answer = self._get(f"/state/{height}")
        # An older release has no such path at all, and says so in other words.
        if answer.status_code == NOT_FOUND and self._read(answer, _Problem).detail == NOT_INDEXED:
            return None
        return self._read(answer, StateAt)

    def operations(self, height: int) -> list[Row]:
        """Return the operations of a block."""
        path = f"/brc20/history-by-height/{height}/all?include_invalid=true&max_results={MOST_OPERATIONS}"
        return self._read(self._get(path), _AllOps).data

    def _get(self, path: str) -> httpx2.Response:
        try:
            answer = self._http.get(self._url + path)
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise OtherSideError(f"{self.name} cannot be reached ({reason}); start it or correct --api") from None
        if answer.status_code not in {OK, NOT_FOUND}:
            raise OtherSideError(f"{self.name} answered with status {answer.status_code}; see its log and try again")
        return answer

    def _read(self, answer: httpx2.Response, wanted: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.content, type=wanted)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise OtherSideError(
                f"{self.name} does not answer as an indexer of this release does; correct --api"
            ) from None


def _text(units: int | None) -> str | None:
    return None if units is None else format_amount(units)
