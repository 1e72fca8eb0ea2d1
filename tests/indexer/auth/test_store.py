"""API keys in a real database."""

from __future__ import annotations

import json
import threading
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

from audit import trail
from audit.chain import examine
from indexer.auth import store
from indexer.auth.authenticator import Authenticator
from indexer.auth.keys import Digester
from indexer.auth.principal import ROLES, Principal, Reason
from indexer.store.connection import StoreError, StoreUnavailableError
from tests.indexer.auth.world import PEPPER, refusal
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.auth.keys import KeyRecord
    from indexer.store.connection import Connection

DIGESTER = Digester(PEPPER)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with store.opened(database_url) as connection:
        yield connection


def since(database_url: str, changed: int) -> list[KeyRecord]:
    """What the API's watcher reads."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        rows = connection.execute(store.RECORDS_SINCE, {"since": changed}).fetchall()
    return [store.record_of(row) for row in rows]


def make(connection: Connection, lifetime: int | None = None) -> tuple[str, KeyRecord]:
    return store.create(connection, DIGESTER, name="wallet", role="operator", lifetime=lifetime)


def test_a_key_that_was_made_is_accepted_and_stored_nowhere(connection: Connection, database_url: str) -> None:
    key, record = make(connection, 90 * 86_400)
    authenticator = Authenticator(PEPPER, None, 900)
    authenticator.update(since(database_url, authenticator.newest))
    assert authenticator.newest == record.changed
    principal = authenticator.authenticate(None, key)
    assert principal == Principal(record.key_id, ROLES["operator"])
    assert record.expires_at == pytest.approx(record.created_at + 90 * 86_400)
    assert record.created_at == pytest.approx(time.time(), abs=60)
    stored = connection.execute("SELECT k::text FROM ops.api_keys k").fetchall()
    assert key[16:] not in str(stored)
    assert PEPPER not in str(stored)


def test_the_watcher_reads_what_changed_since_and_in_that_order(connection: Connection, database_url: str) -> None:
    first, second, third = (make(connection)[1] for _ in range(3))
    assert since(database_url, -1) == since(database_url, 0) == [first, second, third]
    assert first.changed < second.changed < third.changed
    assert since(database_url, second.changed) == [third]
    revoked = store.revoke(connection, first.key_id)
    assert since(database_url, third.changed) == [revoked]
    assert [record.key_id for record in store.listed(connection)] == [
        record.key_id for record in (first, second, third)
    ]


def test_a_revoked_key_is_refused_once_the_change_was_read_and_stays_revoked(
    connection: Connection, database_url: str
) -> None:
    key, record = make(connection)
    authenticator = Authenticator(PEPPER, None, 900)
    authenticator.update(since(database_url, authenticator.newest))
    authenticator.authenticate(None, key)
    revoked = store.revoke(connection, record.key_id)
    authenticator.update(since(database_url, authenticator.newest))
    assert refusal(authenticator, key) == (Reason.REVOKED, record.key_id)
    assert store.revoke(connection, record.key_id).revoked_at == revoked.revoked_at is not None
    with pytest.raises(store.KeyUnusableError, match="no key 000000000000: see keys list"):
        store.revoke(connection, "0" * 12)


def test_a_rotated_key_has_a_successor_and_ends_after_the_overlap(connection: Connection, database_url: str) -> None:
    key, record = make(connection)
    new_key, new, old = store.rotate(connection, DIGESTER, record.key_id, overlap=3_600)
    assert (new.name, new.role, new.expires_at) == (record.name, record.role, None)
    assert (old.key_id, old.revoked_at) == (record.key_id, None)
    assert old.expires_at == pytest.approx(time.time() + 3_600, abs=60)
    authenticator = Authenticator(PEPPER, None, 900)
    authenticator.update(since(database_url, -1))
    for each in (key, new_key):
        assert authenticator.authenticate(None, each).scopes == {"read", "operate"}
    late = Authenticator(PEPPER, None, 900, clock=lambda: time.time() + 4_000)
    late.update(since(database_url, -1))
    assert refusal(late, key)[0] is Reason.EXPIRED
    late.authenticate(None, new_key)


def test_a_rotation_gives_the_lifetime_again_and_never_a_longer_one_to_the_old_key(connection: Connection) -> None:
    _, record = make(connection, 100)
    _, new, old = store.rotate(connection, DIGESTER, record.key_id, overlap=86_400)
    assert new.expires_at == pytest.approx(new.created_at + 100)
    assert old.expires_at == record.expires_at


def test_what_has_ended_is_not_rotated(connection: Connection) -> None:
    _, record = make(connection, 0)
    with pytest.raises(store.KeyUnusableError, match="is expired: make a new one with keys create"):
        store.rotate(connection, DIGESTER, record.key_id, overlap=60)
    _, record = make(connection)
    store.revoke(connection, record.key_id)
    with pytest.raises(store.KeyUnusableError, match="is revoked"):
        store.rotate(connection, DIGESTER, record.key_id, overlap=60)
    with pytest.raises(store.KeyUnusableError, match="no key"):
        store.rotate(connection, DIGESTER, "0" * 12, overlap=60)
    assert len(store.listed(connection)) == 2


def test_every_change_is_told_when_it_is_committed(connection: Connection, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN simplicity_auth")

        def told() -> list[str]:
            return [notice.channel for notice in listener.notifies(timeout=10, stop_after=1)]

        with connection.transaction():
            _, record = make(connection)
            assert not list(listener.notifies(timeout=0))
        assert told() == ["simplicity_auth"]
        store.rotate(connection, DIGESTER, record.key_id, overlap=60)
        assert told() == ["simplicity_auth"]
        store.revoke(connection, record.key_id)
        assert told() == ["simplicity_auth"]


def test_a_change_that_commits_later_has_a_higher_number(connection: Connection, database_url: str) -> None:
    """Else a watcher would see the later one first, and the earlier one, a revocation say, never."""
    made: list[KeyRecord] = []

    def other() -> None:
        with store.opened(database_url) as second:
            made.append(make(second)[1])

    thread = threading.Thread(target=other)
    with psycopg.connect(database_url, autocommit=True) as observer, connection.transaction():
        _, first = make(connection)
        thread.start()
        deadline = time.monotonic() + 10
        while observer.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is None:
            assert time.monotonic() < deadline
        assert since(database_url, -1) == []  # readers do not wait
    thread.join()
    assert first.changed < made[0].changed
    assert since(database_url, first.changed) == made


def test_times_beyond_the_calendar_hinder_nobody(connection: Connection, database_url: str) -> None:
    key, record = make(connection)
    connection.execute("UPDATE ops.api_keys SET expires_at = 'infinity', changed = changed + 1")
    authenticator = Authenticator(PEPPER, None, 900)
    authenticator.update(since(database_url, -1))
    assert authenticator.authenticate(None, key).user_id == record.key_id
    connection.execute("UPDATE ops.api_keys SET expires_at = '-infinity', changed = changed + 1")
    authenticator.update(since(database_url, authenticator.newest))
    assert refusal(authenticator, key)[0] is Reason.EXPIRED


def test_a_database_that_is_away_or_has_no_such_table_is_said_in_a_line(empty_database_url: str) -> None:
    with (
        pytest.raises(StoreError, match="no table of API keys yet; run this release's: simplicity sync"),
        store.opened(empty_database_url) as connection,
    ):
        store.listed(connection)
    with (
        pytest.raises(StoreUnavailableError, match="cannot be reached"),
        store.opened(f"postgresql://nobody@127.0.0.1:{free_port()}/none"),
    ):
        pass


def entries(connection: Connection) -> list[dict[str, Any]]:
    links = list(trail.links(connection))
    assert examine(links) == []
    return [link.facts for link in links]


def row(record: KeyRecord) -> dict[str, Any]:
    names = ("key_id", "name", "role", "created_at", "expires_at", "revoked_at")
    return {name: getattr(record, name) for name in names} | {"digest_sha256": sha256(record.digest).hexdigest()}


def test_every_change_of_a_key_is_in_the_audit_trail_as_rows_before_and_after(connection: Connection) -> None:
    key, made = make(connection, 100)
    new_key, new, old = store.rotate(connection, DIGESTER, made.key_id, overlap=60)
    revoked = store.revoke(connection, new.key_id)

    created, rotated, ended = entries(connection)
    assert (created["action"], created["target"]) == ("auth.keys.create", f"key {made.key_id}")
    assert (created["before"], created["after"]) == ({"api_keys": []}, {"api_keys": [row(made)]})
    assert created["arguments"] == {"name": "wallet", "role": "operator", "lifetime": 100}
    assert (rotated["action"], rotated["target"]) == ("auth.keys.rotate", f"key {made.key_id}")
    assert rotated["before"] == {"api_keys": [row(made)]}
    assert rotated["after"] == {"api_keys": [row(new), row(old)]}
    assert (ended["action"], ended["target"]) == ("auth.keys.revoke", f"key {new.key_id}")
    assert (ended["before"], ended["after"]) == ({"api_keys": [row(new)]}, {"api_keys": [row(revoked)]})
    said = json.dumps(entries(connection))
    for secret in (key[16:], new_key[16:], PEPPER, made.digest.hex()):
        assert secret not in said


def test_what_changes_nothing_or_fails_is_not_in_the_trail(connection: Connection) -> None:
    _, made = make(connection)
    store.revoke(connection, made.key_id)
    store.revoke(connection, made.key_id)
    with pytest.raises(store.KeyUnusableError):
        store.rotate(connection, DIGESTER, made.key_id, overlap=60)
    with pytest.raises(store.KeyUnusableError):
        store.revoke(connection, "0" * 12)

    assert [each["action"] for each in entries(connection)] == ["auth.keys.create", "auth.keys.revoke"]


def test_a_key_whose_entry_cannot_be_written_is_not_made(connection: Connection, database_url: str) -> None:
    with psycopg.connect(database_url) as owner:
        owner.execute("ALTER TABLE ops.audit ADD CHECK (seq > 1)")
    with pytest.raises(psycopg.errors.CheckViolation):
        make(connection)

    assert store.listed(connection) == []


def test_many_changes_at_once_are_all_made_and_all_told(database_url: str, connection: Connection) -> None:
    def work() -> None:
        with store.opened(database_url) as mine:
            for _ in range(5):
                store.revoke(mine, make(mine)[1].key_id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    told = [each["action"] for each in entries(connection)]
    assert (told.count("auth.keys.create"), told.count("auth.keys.revoke")) == (20, 20)
    assert all(record.revoked_at for record in store.listed(connection))
