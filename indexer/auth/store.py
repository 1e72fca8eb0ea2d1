"""API keys in the database: made, listed, revoked and rotated by the command; read by the API's watcher.

Every change and its entry in the audit trail are one transaction.
"""

from __future__ import annotations

from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import class_row

from audit import trail
from audit.entry import entry
from indexer.auth.keys import KeyRecord, new_key
from indexer.store.connection import StoreError, connect, translated
from indexer.store.transactions import sensitive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from audit.entry import Json
    from indexer.auth.keys import Digester
    from indexer.auth.principal import Role
    from indexer.store.connection import Connection

_Result = TypeVar("_Result")

STATEMENT_TIMEOUT = 10  # seconds: another change of the keys, which waits for nobody, takes milliseconds

# In seconds since the epoch: a date of PostgreSQL's may be one that Python has no word for.
_SELECT = """
    SELECT key_id, name, role, digest, changed, extract(epoch FROM created_at)::float8 AS created_at,
        extract(epoch FROM expires_at)::float8 AS expires_at, extract(epoch FROM revoked_at)::float8 AS revoked_at
    FROM ops.api_keys"""
RECORDS_SINCE = _SELECT + " WHERE changed > %(since)s ORDER BY changed"
_LIST = _SELECT + " ORDER BY created_at, key_id"
_FIND = _SELECT + " WHERE key_id = %(key_id)s"
_CREATE = """
    INSERT INTO ops.api_keys (key_id, name, role, digest, expires_at, changed)
    VALUES (%(key_id)s, %(name)s, %(role)s, %(digest)s, now() + make_interval(secs => %(lifetime)s),
        nextval('ops.api_keys_changed'))"""
_REVOKE = """
    UPDATE ops.api_keys SET revoked_at = now(), changed = nextval('ops.api_keys_changed')
    WHERE key_id = %(key_id)s AND revoked_at IS NULL"""
_SUCCEED = """
    INSERT INTO ops.api_keys (key_id, name, role, digest, expires_at, changed)
    SELECT %(new_id)s, name, role, %(digest)s, now() + (expires_at - created_at), nextval('ops.api_keys_changed')
    FROM ops.api_keys
    WHERE key_id = %(key_id)s AND revoked_at IS NULL AND (expires_at > now()) IS NOT false"""
# least() passes over NULL: a key without an end gets one, and a nearer end stays.
_LET_EXPIRE = """
    UPDATE ops.api_keys SET expires_at = least(expires_at, now() + make_interval(secs => %(overlap)s)),
        changed = nextval('ops.api_keys_changed')
    WHERE key_id = %(key_id)s"""


class KeyUnusableError(Exception):
    """The named key is not there, or has ended: one line that says so."""


def record_of(row: Mapping[str, Any]) -> KeyRecord:
    """Return a row that RECORDS_SINCE gave."""
    return KeyRecord(**row)


@contextmanager
def opened(database_url: str) -> Iterator[Connection]:
    """Open a connection for the functions below. Raises StoreError and StoreUnavailableError."""
    try:
        with translated(), connect(database_url, statement_timeout=STATEMENT_TIMEOUT) as connection:
            yield connection
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise StoreError("database has no table of API keys yet; run this release's: simplicity sync") from None


def create(
    connection: Connection, digester: Digester, *, name: str, role: Role, lifetime: int | None
) -> tuple[str, KeyRecord]:
    """Make a key that ends `lifetime` seconds from now (None: never). Return the key, which is kept nowhere."""
    key_id, key = new_key()
    values = {"key_id": key_id, "name": name, "role": role, "digest": digester.digest(key), "lifetime": lifetime}

    def change() -> KeyRecord:
        connection.execute(_CREATE, values)
        record = find(connection, key_id)
        told = {"name": name, "role": role, "lifetime": lifetime}
        _record(connection, "auth.keys.create", key_id, told, ((), (record,)))
        return record

    return key, _changed(connection, change)


def listed(connection: Connection) -> Sequence[KeyRecord]:
    """Return all keys, ended ones too, in the order in which they were made."""
    with connection.cursor(row_factory=class_row(KeyRecord)) as cursor:
        return cursor.execute(_LIST).fetchall()


def find(connection: Connection, key_id: str) -> KeyRecord:
    """Return a key's record. Raises KeyUnusableError for an unknown id."""
    with connection.cursor(row_factory=class_row(KeyRecord)) as cursor:
        record = cursor.execute(_FIND, {"key_id": key_id}).fetchone()
    if record is None:
        raise KeyUnusableError(f"no key {key_id}: see keys list")
    return record


def revoke(connection: Connection, key_id: str) -> KeyRecord:
    """End a key for good, now; one that is revoked already stays as it is. Raises KeyUnusableError where none is."""

    def change() -> KeyRecord:
        old = find(connection, key_id)
        if old.revoked_at is not None:
            return old
        connection.execute(_REVOKE, {"key_id": key_id})
        new = find(connection, key_id)
        _record(connection, "auth.keys.revoke", key_id, {}, ((old,), (new,)))
        return new

    return _changed(connection, change)


def rotate(
    connection: Connection, digester: Digester, key_id: str, *, overlap: int
) -> tuple[str, KeyRecord, KeyRecord]:
    """Make a key of the same name, role and lifetime; the old one ends `overlap` seconds from now at the latest.

    Return the new key, its record and the old one's. Raises KeyUnusableError where the old one has ended.
    """
    new_id, key = new_key()
    digest = digester.digest(key)

    def change() -> tuple[KeyRecord, KeyRecord]:
        was = find(connection, key_id)
        succeeded = connection.execute(_SUCCEED, {"new_id": new_id, "digest": digest, "key_id": key_id}).rowcount
        if not succeeded:
            ended = "expired" if was.revoked_at is None else "revoked"
            raise KeyUnusableError(f"key {key_id} is {ended}: make a new one with keys create")
        connection.execute(_LET_EXPIRE, {"key_id": key_id, "overlap": overlap})
        new, old = find(connection, new_id), find(connection, key_id)
        _record(connection, "auth.keys.rotate", key_id, {"overlap": overlap}, ((was,), (new, old)))
        return new, old

    return key, *_changed(connection, change)


def _changed(connection: Connection, change: Callable[[], _Result]) -> _Result:
    """Give out `changed` in the order of commits: a watcher that saw N would never learn of a smaller one after it."""

    def alone() -> _Result:
        connection.execute("LOCK TABLE ops.api_keys IN SHARE ROW EXCLUSIVE MODE")
        result = change()
        connection.execute("SELECT pg_notify('simplicity_auth', '')")
        return result

    return sensitive(connection, alone)


def _record(
    connection: Connection,
    action: str,
    key_id: str,
    arguments: Mapping[str, Json],
    states: tuple[Sequence[KeyRecord], Sequence[KeyRecord]],
) -> None:
    """Append an entry; `states` are the rows before and after."""
    before, after = map(_rows, states)
    trail.append(connection, entry(action, f"key {key_id}", arguments=arguments, before=before, after=after))


def _rows(records: Sequence[KeyRecord]) -> Json:
    """Return what the trail holds of keys; of a digest only its own hash, which tells it from others."""
    return {
        "api_keys": [
            {
                "key_id": record.key_id,
                "name": record.name,
                "role": record.role,
                "created_at": record.created_at,
                "expires_at": record.expires_at,
                "revoked_at": record.revoked_at,
                "digest_sha256": sha256(record.digest).hexdigest(),
            }
            for record in records
        ]
    }
