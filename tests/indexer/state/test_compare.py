"""`simplicity state compare`: two indexers and the first block in which they differ."""

from __future__ import annotations

import math
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import pytest
import uvicorn

from indexer.api.app import create_app
from indexer.api.server import listen
from indexer.settings import ConfigurationError, Settings
from indexer.state.compare import IncomparableError, compare
from indexer.state.sides import OtherSideError, Row, Side, StateAt, open_api, open_database
from indexer.store.connection import StoreError, StoreUnavailableError, connect
from infra.local.traffic.chain import OfflineChain
from tests.support.canned import canned
from tests.support.indexing import MARKETPLACE_HEIGHT, follow_to_tip, open_writer
from tests.support.memory_node import MemoryNode
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from indexer.state.compare import Comparison
    from indexer.store.chain import Identity
    from tests.support.postgres import Cluster

TIP = 27
FORK = 20  # the last block that both branches have


@contextmanager
def api_of(database_url: str) -> Iterator[str]:
    """Serve the API of a database and yield its URL."""
    settings = Settings(_env_file=None, DATABASE_URL=database_url, BITCOIN_NETWORK="regtest", API_PORT=0)
    with listen(settings) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, access_log=False))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def forked_url(cluster: Cluster, migrated_template: str) -> str:
    """An index of the same chain up to FORK, and of another branch from there on."""
    chain = OfflineChain(11, maturity=3, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(24, 8)
    chain.fork(TIP - FORK, 9, 8)
    url = cluster.new_database(migrated_template)
    writer = open_writer(url)
    follow_to_tip(MemoryNode(chain.blocks), writer)
    writer.close()
    return url


@pytest.fixture
def copy(cluster: Cluster, sound_url: str) -> Callable[..., str]:
    """Make a database of its own that is the sound index but for what some statements do to it."""

    def changed(*statements: str) -> str:
        url = cluster.new_database(sound_url.rpartition("/")[2])
        with connect(url) as connection:
            for statement in statements:
                assert connection.execute(statement).rowcount > 0
        return url

    return changed


def compared(here: str, there: str) -> Comparison:
    opened = open_api(there) if there.startswith("http") else open_database(there, "--database")
    with open_database(here, "DATABASE_URL") as ours, opened as theirs:
        return compare(ours, theirs, 1)


def test_an_index_equals_its_copy_and_the_api_of_its_copy(sound_url: str, copy: Callable[..., str]) -> None:
    url = copy()
    with api_of(url) as api:
        for there in (url, api):
            comparison = compared(sound_url, there)
            assert comparison.is_equal
            assert comparison.height == TIP


def test_one_that_is_behind_is_compared_up_to_its_tip(
    sound_url: str, cluster: Cluster, migrated_template: str, chain: OfflineChain
) -> None:
    url = cluster.new_database(migrated_template)
    writer = open_writer(url)
    follow_to_tip(MemoryNode(chain.blocks[:9]), writer)
    writer.close()
    comparison = compared(sound_url, url)
    assert comparison.is_equal
    assert (comparison.height, comparison.tips) == (9, (TIP, 9))


def test_two_branches_differ_from_the_first_block_after_the_fork(sound_url: str, forked_url: str) -> None:
    with api_of(forked_url) as api:
        by_database, by_api = compared(sound_url, forked_url), compared(sound_url, api)
    for comparison in (by_database, by_api):
        assert comparison.first_block == FORK + 1
        assert "block_hash" in comparison.values
        assert "state_hash" in comparison.values
    assert by_database.operations.keys() == by_api.operations.keys() != set()


@pytest.mark.parametrize("way", ["database", "api"])
def test_an_operation_that_differs_is_shown_column_by_column(
    sound_url: str, copy: Callable[..., str], way: str
) -> None:
    there = copy(
        "UPDATE index.operations SET sender = 'nobody' WHERE op_id = (SELECT max(op_id) FROM index.operations"
        " WHERE op_id >> 20 = 15)",
        "DELETE FROM index.operations WHERE op_id = 15 << 20",
        "UPDATE index.blocks SET events_hash = sha256(events_hash) WHERE height = 15",
        "UPDATE index.blocks SET state_hash = sha256(state_hash) WHERE height >= 15",
    )
    with api_of(there) as api:
        comparison = compared(sound_url, api if way == "api" else there)
    assert comparison.first_block == 15
    assert comparison.values.keys() == {"events_hash", "state_hash"}
    (first, gone), (last, changed) = comparison.operations.items()
    assert first == 15 << 20
    assert gone.there is None
    assert gone.here["id"] == first
    assert last > first
    assert changed.there == {"from_address": "nobody"}
    assert changed.here.keys() == {"from_address"}


def test_tables_that_differ_although_the_history_does_not_are_found(sound_url: str, copy: Callable[..., str]) -> None:
    there = copy("UPDATE index.blocks SET state_digest = sha256(state_digest) WHERE height >= 13")
    comparison = compared(sound_url, there)
    assert comparison.first_block == 13
    assert comparison.values.keys() == {"state_digest"}
    assert comparison.operations == {}


class _Made:
    """A side of a thousand blocks that differs from `first` on."""

    identity: Identity | None = None

    def __init__(self, name: str, first: int = 10**9) -> None:
        self.name = name
        self.first = first
        self.reads = 0

    def tip(self) -> int:
        return 1_000

    def state(self, height: int) -> StateAt | None:
        self.reads += 1
        return StateAt("", "", "other" if height >= self.first else "", "") if height > 0 else None

    def operations(self, height: int) -> list[Row]:
        return [{"id": height, "op": self.name}]


@pytest.mark.parametrize("first", [1, 2, 3, 499, 500, 501, 999, 1_000])
def test_the_first_difference_is_found_in_few_reads(first: int) -> None:
    there: Side = (made := _Made("there", first))
    comparison = compare(_Made("here"), there, 1)
    assert comparison.first_block == first
    assert made.reads <= math.log2(1_000) + 5
    assert [pair.there for pair in comparison.operations.values()] == [{"op": "there"}]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("UPDATE index.chain SET network = 'signet'", "BITCOIN_NETWORK is regtest here and signet there"),
        ("UPDATE index.chain SET start_height = 2", "START_BLOCK_HEIGHT is 1 here and 2 there"),
        ("UPDATE index.chain SET marketplace_height = 2", "MARKETPLACE_TRANSFER_BLOCK_HEIGHT is 12 here and 2 there"),
    ],
)
def test_databases_that_were_begun_differently_are_not_compared(
    sound_url: str, copy: Callable[..., str], change: str, line: str
) -> None:
    there = copy(change)
    with pytest.raises(IncomparableError, match=line):
        compared(sound_url, there)


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("DELETE FROM index.blocks WHERE height = 1", "begins later than here, where START_BLOCK_HEIGHT is 1"),
        (
            "INSERT INTO index.blocks SELECT 0, hash, hash, time, 0, hash, hash, hash FROM index.blocks LIMIT 1",
            "begins earlier than here",
        ),
        (
            "UPDATE index.blocks SET hash = sha256(hash)",
            "follows another chain: block 1 is .* of the same BITCOIN_NETWORK",
        ),
    ],
)
def test_an_api_of_another_chain_or_height_is_not_compared(
    sound_url: str, copy: Callable[..., str], statement: str, line: str
) -> None:
    with api_of(copy(statement)) as api, pytest.raises(IncomparableError, match=line):
        compared(sound_url, api)


def test_a_gap_is_said_and_not_taken_for_a_difference(sound_url: str, copy: Callable[..., str]) -> None:
    there = copy("DELETE FROM index.blocks WHERE height = 27")
    with pytest.raises(OtherSideError, match="has no state of block 27, which it should have indexed"):
        compared(sound_url, there)


def test_one_that_has_indexed_nothing_yet_says_so(sound_url: str, database_url: str) -> None:
    with pytest.raises(StoreError, match="holds no index yet; run: simplicity sync"):
        compared(sound_url, database_url)
    open_writer(database_url).close()
    with pytest.raises(IncomparableError, match="has indexed no block yet"):
        compared(sound_url, database_url)


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ({}, "does not answer as an indexer of this release does; correct --api"),
        ({"/v1/indexer/state/1": (404, {"detail": "Not Found"})}, "does not answer as an indexer of this release does"),
        ({"/v1/indexer/state/1": (200, "<html>")}, "does not answer as an indexer of this release does"),
        ({"/v1/indexer/state/1": (503, "")}, "answered with status 503; see its log and try again"),
    ],
)
def test_what_is_no_api_of_this_release_is_said(
    sound_url: str, answers: dict[str, tuple[int, object]], line: str
) -> None:
    with canned(answers) as server, pytest.raises(OtherSideError, match=line):
        compared(sound_url, server.url)


def test_no_error_shows_a_password(sound_url: str) -> None:
    port = free_port()
    with pytest.raises(OtherSideError, match="cannot be reached") as by_api:
        compared(sound_url, f"http://someone:secret@127.0.0.1:{port}")
    with pytest.raises(StoreUnavailableError, match="correct --database") as by_database:
        compared(sound_url, f"postgresql://someone:secret@127.0.0.1:{port}/brc20")
    with pytest.raises(ConfigurationError, match="--database must look like") as by_form:
        compared(sound_url, "postgresql+psycopg2://someone:secret@x")
    with pytest.raises(ConfigurationError, match="--api must look like"), open_api("ftp://someone:secret@x"):
        pass
    assert "secret" not in f"{by_api.value}{by_database.value}{by_form.value}"
