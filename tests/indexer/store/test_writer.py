from __future__ import annotations

import random
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest

from indexer.bitcoin.block import Block
from indexer.bitcoin.script import Network
from indexer.protocol.apply import apply, touched
from indexer.protocol.hashing import digest
from indexer.protocol.model import BalanceKey, Operation, State
from indexer.protocol.rules import Rules
from indexer.protocol.ticker import normalise
from indexer.store.chain import read_tip
from indexer.store.connection import StoreError, StoreUnavailableError, connect, require_utf8, translated
from indexer.store.partitions import PARTITION_BLOCKS, ensure_partition, partition_of
from indexer.store.schema import migrate
from indexer.store.writer import StaleWriterError, Writer
from infra.local.traffic.chain import OfflineChain
from tests.support.indexing import MARKETPLACE_HEIGHT, exported, follow_to_tip, identity, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from tests.support.postgres import Cluster


@pytest.fixture(scope="module")
def node() -> MemoryNode:
    chain = OfflineChain(21, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(20, 8)
    return MemoryNode(chain.blocks)


def test_a_second_writer_waits_and_takes_over_when_the_first_is_gone(database_url: str) -> None:
    first = open_writer(database_url)
    assert Writer.try_open(database_url, identity(), undo_window=10) is None
    first.close()
    second = Writer.try_open(database_url, identity(), undo_window=10)
    assert second is not None
    second.close()


def test_a_writer_that_lost_its_session_is_fenced_off_and_writes_nothing(database_url: str, node: MemoryNode) -> None:
    # The scenario: a failover or a network cut drops the session, the lock is free, another sync takes it, and the
    # first one, none the wiser, goes on with a connection of its own.
    half = MemoryNode(node.blocks[:10])
    stale = open_writer(database_url)
    follow_to_tip(half, stale)
    connection = connect(database_url)
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    successor = open_writer(database_url)
    before = exported(database_url)
    stale.close()
    stale._connection = connection  # noqa: SLF001 - the session that came back is what the test is about
    with pytest.raises(StaleWriterError, match="another writer has taken over"):
        follow_to_tip(node, stale)
    with pytest.raises(StaleWriterError):
        stale.undo(stale.tip.height - 1)
    assert exported(database_url) == before
    follow_to_tip(node, successor)
    assert successor.tip.height == len(node.blocks)
    successor.close()
    connection.close()


def test_a_failure_in_the_middle_of_a_commit_leaves_the_whole_block_out(database_url: str, node: MemoryNode) -> None:
    with psycopg.connect(database_url, autocommit=True) as sabotage:
        sabotage.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.height >= 12 THEN RAISE disk_full; END IF; RETURN NEW; END $$;"
            "CREATE TRIGGER fail BEFORE INSERT ON index.undo_balances FOR EACH ROW EXECUTE FUNCTION fail()"
        )
        writer = open_writer(database_url)
        with pytest.raises(Exception, match=r"disk_full|disk full"):
            follow_to_tip(node, writer)
        reached = writer.tip.height
        writer.close()
        with connect(database_url) as connection:
            assert read_tip(connection).height == reached
        assert f'"height":{reached + 1}' not in exported(database_url).decode()
        sabotage.execute("DROP TRIGGER fail ON index.undo_balances")
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    assert writer.tip.height == len(node.blocks)
    writer.close()


@pytest.mark.parametrize(
    ("changed", "setting"),
    [
        ({"cluster": "other"}, "CLUSTER_NAME=test, now it is other"),
        ({"network": "main"}, "BITCOIN_NETWORK=regtest, now it is main"),
        ({"start_height": 7}, "START_BLOCK_HEIGHT=1, now it is 7"),
        ({"marketplace_height": 7}, "MARKETPLACE_TRANSFER_BLOCK_HEIGHT=12, now it is 7"),
    ],
)
def test_a_database_refuses_settings_it_was_not_begun_with(
    database_url: str, changed: dict[str, object], setting: str
) -> None:
    open_writer(database_url).close()
    with pytest.raises(StoreError, match=setting):
        Writer.try_open(database_url, identity(**changed), undo_window=10)
    open_writer(database_url).close()


def test_the_digest_in_the_block_row_is_that_of_the_tables(database_url: str, node: MemoryNode) -> None:
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    with connect(database_url) as connection:
        rows = connection.execute("SELECT ticker, address, amount FROM index.balances").fetchall()
        tickers = connection.execute("SELECT ticker FROM index.deploys").fetchall()
    assert rows
    state = writer.load([ticker for (ticker,) in tickers], [])
    recomputed = digest(
        state.deploys.values(), [(BalanceKey(ticker, address), units) for ticker, address, units in rows]
    )
    assert recomputed == writer.tip.position.state_digest
    writer.close()


def test_a_ticker_of_kilobytes_is_deployed_minted_and_undone_like_any_other(database_url: str) -> None:
    # The scenario: upper-casing triples the bytes of some letters, so that a payload of 2000 bytes names a ticker that
    # no index of PostgreSQL would take. One such transaction must not stop every indexer for ever.
    rng = random.Random(1)
    ticker = normalise("".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWX0123456789!#%&", k=1060)) + "\u0390" * 440)
    assert len(ticker.encode()) > 3_600
    before = State()
    writer = open_writer(database_url)
    for height, op in enumerate(("mint", "deploy", "mint", "transfer"), start=1):
        operation = Operation(
            tx_index=1,
            txid=bytes([height]) * 32,
            vout=0,
            op=op,
            ticker=ticker,
            amount=None if op == "deploy" else 5,
            max_supply=10 if op == "deploy" else None,
            limit_per_mint=5 if op == "deploy" else None,
            limit_is_given=op == "deploy",
            sender="alice",
            recipient="alice" if op == "mint" else "bob",
        )
        block = Block(bytes([height]) * 32, writer.tip.hash, datetime.now(UTC), (), {})
        state = writer.load(*touched([operation]))
        before = State(dict(state.deploys), dict(state.balances))
        delta = apply(block, [operation], state, writer.tip.position, Rules(Network.REGTEST, 0))
        assert delta.rows[0].valid is (height > 1)
        writer.add(delta)
        writer.commit(node_height=height)
    keys = {BalanceKey(ticker, "alice"), BalanceKey(ticker, "bob")}
    assert writer.load({ticker}, keys).balances == {BalanceKey(ticker, "alice"): 0, BalanceKey(ticker, "bob"): 5}
    writer.undo(3)
    assert writer.load({ticker}, keys) == before
    for height in (2, 1, 0):
        writer.undo(height)
    assert writer.load({ticker}, keys) == State()
    writer.close()


def test_a_fault_that_no_waiting_mends_does_not_pass_for_an_outage(database_url: str) -> None:
    with connect(database_url) as connection:
        for sqlstate in ("54000", "22001", "42P01"):
            with pytest.raises(psycopg.Error), translated():
                connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{sqlstate}'; END $$")
        for sqlstate in ("53100", "57P01", "25006", "40001", "55P03"):
            with pytest.raises(StoreUnavailableError), translated():
                connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{sqlstate}'; END $$")


def test_a_dead_peer_is_noticed_by_the_server_within_half_a_minute(database_url: str) -> None:
    with connect(database_url) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()
            for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
        }
    assert shown == {
        "tcp_keepalives_idle": ("10",),
        "tcp_keepalives_interval": ("5",),
        "tcp_keepalives_count": ("3",),
        "tcp_user_timeout": ("30000",),
    }


def test_a_database_that_cannot_hold_every_ticker_is_refused(cluster: Cluster) -> None:
    name = f"latin_{secrets.token_hex(4)}"
    with connect(cluster.url()) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with connect(cluster.url(name)) as connection, pytest.raises(StoreError, match="encoding LATIN1; create it with"):
        require_utf8(connection)


def test_processes_that_migrate_and_grant_at_once_do_not_collide(cluster: Cluster, empty_database_url: str) -> None:
    role = f"reader_{secrets.token_hex(4)}"
    with connect(cluster.url()) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate(empty_database_url, reader_role=role), range(8)))
    with connect(empty_database_url.replace("postgres@", f"{role}@")) as connection:
        assert connection.execute("SELECT count(*) FROM index.deploys").fetchone() == (0,)
        for table in ("api_keys", "maintenance", "orphaned_blocks", "schema_version"):
            connection.execute(f"SELECT FROM ops.{table}")
        may_change = connection.execute(
            "SELECT count(*) FROM pg_class c WHERE relnamespace IN ('index'::regnamespace, 'ops'::regnamespace)"
            " AND CASE WHEN relkind = 'S' THEN has_sequence_privilege(c.oid, 'USAGE, UPDATE')"
            " WHEN relkind IN ('r', 'p') THEN has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') END"
        ).fetchone()
        assert may_change == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM index.deploys")
    with pytest.raises(StoreError, match="role nobody_here does not exist; create it or correct DATABASE_READER_ROLE"):
        migrate(empty_database_url, reader_role="nobody_here")


def test_undo_data_is_kept_for_the_window_and_no_longer(database_url: str, node: MemoryNode) -> None:
    writer = open_writer(database_url, undo_window=5)
    follow_to_tip(node, writer)
    writer.close()
    with connect(database_url) as connection:
        row = connection.execute("SELECT min(height), max(height) FROM index.undo_balances").fetchone()
    assert row is not None
    assert row[0] > len(node.blocks) - 5


def test_operations_of_far_apart_heights_lie_in_different_partitions(database_url: str, node: MemoryNode) -> None:
    writer = open_writer(database_url)
    follow_to_tip(node, writer)
    with writer._connection.transaction():  # noqa: SLF001 - the edge lies two years of blocks away
        ensure_partition(writer._connection, partition_of(3 * PARTITION_BLOCKS - 1))  # noqa: SLF001
        ensure_partition(writer._connection, partition_of(3 * PARTITION_BLOCKS))  # noqa: SLF001
    writer.close()
    with connect(database_url) as connection:
        names = connection.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'index.operations'::regclass ORDER BY 1"
        ).fetchall()
    assert [name for (name,) in names] == ["operations_p0", "operations_p2", "operations_p3"]


def test_amounts_of_38_digits_come_back_exactly(cluster: Cluster) -> None:
    with connect(cluster.url()) as connection:
        row = connection.execute("SELECT '999999999999999999999999999999.99999999'::numeric(38, 8)").fetchone()
        negative = connection.execute("SELECT (-0.00000001)::numeric(38, 8)").fetchone()
    assert row == (10**38 - 1,)
    assert negative == (-1,)


def test_no_statement_of_the_writer_is_compiled_anew_each_time(database_url: str) -> None:
    # The scenario: PostgreSQL up to 17 compiles statements by their price, and a forbidden plan has an absurd one.
    writer = open_writer(database_url)
    assert writer._connection.execute("SHOW jit").fetchone() == ("off",)  # noqa: SLF001 - the session's own setting
    writer.close()
