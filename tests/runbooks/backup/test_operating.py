"""Keys and the switch as the trail's entries tell them, and a database that is compared with its trail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from audit import trail as real
from audit.anchor import Anchor
from audit.chain import GENESIS, Link, link
from audit.entry import entry
from audit.objects import open_store
from indexer.api import maintenance
from indexer.api.maintenance import NOT_ON
from indexer.auth import store
from indexer.auth.keys import Digester
from indexer.store.connection import connect
from runbooks.backup.errors import RefusedError
from runbooks.backup.manifest import Head
from runbooks.backup.operating import compare, told

if TYPE_CHECKING:
    from pathlib import Path

SWITCH = {"on": True, "message": "back soon", "route_classes": ["bulk"], "serve_cached": True, "retry_after": 60}


def key(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - columns
    row = {"key_id": name, "name": f"key {name}", "role": "reader", "revoked_at": None, "digest_sha256": "ab" * 32}
    return row | changes


def trail(*after: Any) -> list[Link]:  # noqa: ANN401 - what entries say of the rows afterwards
    links, prev = [], GENESIS
    for number, rows in enumerate(after, start=1):
        links.append(link(entry("some.change", "something", after=rows), number, prev))
        prev = links[-1].hash
    return links


def test_no_entries_tell_nothing() -> None:
    assert told([]) == ({}, None)
    assert told(trail(None, "text", 7, ["list"], {}, {"other": [{"a": 1}]})) == ({}, None)


def test_the_last_entry_of_a_key_counts() -> None:
    keys, switch = told(
        trail(
            {"api_keys": [key("a")]},
            {"api_keys": [key("b")]},
            {"api_keys": [key("a", revoked_at=7.5)]},
            None,
        )
    )
    assert keys == {"a": key("a", revoked_at=7.5), "b": key("b")}
    assert switch is None


def test_one_entry_may_change_several_keys() -> None:
    keys, _ = told(trail({"api_keys": [key("a")]}, {"api_keys": [key("a", expires_at=9.0), key("b")]}))
    assert keys == {"a": key("a", expires_at=9.0), "b": key("b")}


def test_the_last_switching_counts_and_other_entries_leave_it() -> None:
    off = SWITCH | {"on": False}
    _, switch = told(trail({"maintenance": [SWITCH]}, {"maintenance": [off]}, {"api_keys": [key("a")]}))
    assert switch == off
    _, switch = told(trail({"maintenance": [off]}, {"maintenance": [SWITCH]}, {"maintenance": []}))
    assert switch == SWITCH


CLUSTER = "7412345678901234567"
SECRETS = ("see https://operator:hunter2@status.example/", "token=hunter2 is revoked", "Bearer hunter2")


def head_of(url: str) -> Head:
    with connect(url) as connection:
        found = real.head(connection)
    assert found is not None
    return Head(found.seq, found.hash.hex())


@pytest.fixture
def operated(database_url: str) -> str:
    """A database with a key and a switch, whose names look like secrets that the trail masks."""
    with connect(database_url) as connection:
        for words in SECRETS:
            store.create(connection, Digester("p" * 32), name=words, role="reader", lifetime=None)
            maintenance.write(connection, replace(NOT_ON, is_on=True, message=words))
        entries = "".join(each.body for each in real.links(connection))
    assert "***" in entries
    assert "hunter2" not in entries
    return database_url


def test_what_the_trail_masks_of_keys_and_switch_is_no_difference(operated: str) -> None:
    checks, lost = compare(operated, None, CLUSTER, head_of(operated))
    assert checks["operating data"] == "3 API keys and the maintenance switch are as the trail says"
    assert lost == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "UPDATE ops.maintenance SET message = 'another'",
            "^the maintenance switch is .*'another'.* by the trail ",
        ),
        ("UPDATE ops.maintenance SET is_on = false", "^the maintenance switch is "),
        ("UPDATE ops.api_keys SET name = 'another'", "^3 API keys are not as the trail says: "),
        ("UPDATE ops.api_keys SET role = 'admin' WHERE name LIKE 'Bearer%'", "^1 API keys are not as the trail says: "),
        ("DELETE FROM ops.api_keys WHERE name LIKE 'Bearer%'", "^1 API keys are not as the trail says: "),
    ],
)
def test_masking_hides_no_other_difference(operated: str, change: str, words: str) -> None:
    with psycopg.connect(operated) as connection:
        connection.execute(change)
    with pytest.raises(RefusedError, match=words) as caught:
        compare(operated, None, CLUSTER)
    assert "\n" not in str(caught.value)


def test_a_trail_that_goes_on_after_what_the_backup_had_is_well(operated: str, tmp_path: Path) -> None:
    wanted, copy = head_of(operated), open_store(tmp_path.as_uri())
    with connect(operated) as connection:
        maintenance.write(connection, NOT_ON)
        Anchor(copy, CLUSTER).extend(connection)
    checks, lost = compare(operated, copy, CLUSTER, wanted)
    assert checks["trail"] == "7 entries, 7 of them as in the copy"
    assert lost == []


def test_a_trail_that_lacks_the_backups_own_head_is_refused(operated: str) -> None:
    head = head_of(operated)
    for wanted in (Head(head.seq + 1, head.hash), Head(head.seq, "ab" * 32), Head(head.seq - 1, head.hash)):
        with pytest.raises(RefusedError, match=rf"^the restored trail lacks entry {wanted.seq}, which the backup was"):
            compare(operated, None, CLUSTER, wanted)


def test_a_trail_that_was_cut_off_is_refused_also_where_there_is_no_copy(operated: str) -> None:
    wanted = head_of(operated)
    with psycopg.connect(operated, autocommit=True) as connection:
        connection.execute("ALTER TABLE ops.audit DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM ops.audit WHERE seq = %s", (wanted.seq,))
    with pytest.raises(RefusedError, match=f"^the restored trail lacks entry {wanted.seq}"):
        compare(operated, None, CLUSTER, wanted)


def test_without_any_trail_a_backup_that_had_one_is_refused_and_one_that_had_none_is_well(
    empty_database_url: str,
) -> None:
    checks, lost = compare(empty_database_url, None, CLUSTER)
    assert (checks, lost) == ({"operating data": "the database has no trail yet"}, [])
    with pytest.raises(RefusedError, match=r"^the restored trail lacks entry 7, which the backup was"):
        compare(empty_database_url, None, CLUSTER, Head(7, "ab" * 32))
