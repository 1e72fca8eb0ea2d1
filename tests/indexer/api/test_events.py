"""The event stream: whoever listens, however slowly and with whatever breaks, knows the chain as it is."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from indexer.bitcoin.block import display
from indexer.store import undo
from indexer.store.connection import connect
from infra.local.traffic.chain import OfflineChain
from tests.support.api import SOON, App, Chain, chained, running, serving, until
from tests.support.indexing import MARKETPLACE_HEIGHT
from tests.support.memory_node import hash_of
from tests.support.streams import Event, Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.postgres import Cluster

EVENTS = "/v1/indexer/events"


@pytest.fixture
async def app(chain: Chain) -> AsyncIterator[App]:
    async with running(chain.url) as made:
        yield made


def id_of(chain: Chain, height: int) -> str:
    return f"{height}:{display(hash_of(chain.source.blocks[height - 1]))}"


def ids_of(chain: Chain, *heights: int) -> list[str]:
    return [id_of(chain, height) for height in heights]


class Follower:
    """What a client knows of the chain from the events alone: the hash at each height since it began."""

    def __init__(self) -> None:
        self.last: str | None = None
        self.begun = 0
        self.blocks: dict[int, str] = {}
        self.resets = 0

    def take(self, event: Event) -> None:
        height, block_hash = event.data["height"], event.data["block_hash"]
        assert event.id == f"{height}:{block_hash}"
        if event.name in {"tip", "reset"}:
            self.resets += event.name == "reset"
            self.blocks = {height: block_hash}
            self.begun = height
        elif event.name == "reorg":
            assert self.blocks.get(height, block_hash) == block_hash
            self.blocks = {each: known for each, known in self.blocks.items() if each < height}
            self.blocks[height] = block_hash
            self.begun = min(self.begun, height)
        else:
            assert event.name == "block"
            assert height == max(self.blocks) + 1, "a gap"
            self.blocks[height] = block_hash
        self.last = event.id

    def assert_knows(self, blocks: Sequence[bytes]) -> None:
        assert self.blocks == {
            height: display(hash_of(raw)) for height, raw in enumerate(blocks, start=1) if height >= self.begun
        }

    async def catch_up(self, stream: Stream, chain: Chain) -> None:
        async with asyncio.timeout(SOON):
            while self.last != id_of(chain, chain.height):
                event = await stream.next()
                assert event is not None
                self.take(event)


async def test_a_stream_begins_with_the_tip(app: App, chain: Chain) -> None:
    stream = Stream(app)
    head = await stream.head()
    assert (head.status, head.header("content-type")) == (200, "text/event-stream; charset=utf-8")
    assert head.header("cache-control") == "no-store"
    event = await stream.next()
    assert event is not None
    assert (event.name, event.id) == ("tip", id_of(chain, chain.height))
    state = await app.read(f"/state/{chain.height}")
    assert event.data == {name: state[name] for name in ("height", "block_hash", "state_hash")}
    await stream.leave()


async def test_new_blocks_come_in_order_and_whole(app: App, chain: Chain) -> None:
    stream = Stream(app)
    await stream.next()
    first = chain.height + 1
    chain.extend(2)
    chain.extend()
    events = await stream.take(3)
    assert [event.name for event in events] == ["block"] * 3
    assert [event.id for event in events] == ids_of(chain, first, first + 1, first + 2)
    for event in events:
        state = await app.read(f"/state/{event.data['height']}")
        assert {name: event.data[name] for name in ("block_hash", "state_hash")} == {
            name: state[name] for name in ("block_hash", "state_hash")
        }
        rows = await app.read(f"/brc20/history-by-height/{event.data['height']}?include_invalid=true")
        assert event.data["operations"] == len(rows)
    await stream.leave()


async def test_a_reorg_names_the_block_that_the_chain_went_on_from_and_then_its_blocks(app: App, chain: Chain) -> None:
    stream = Stream(app)
    await stream.next()
    height = chain.height
    chain.fork(2, 3)
    events = await stream.take(4)
    assert [event.name for event in events] == ["reorg", "block", "block", "block"]
    assert [event.id for event in events] == ids_of(chain, height - 2, height - 1, height, height + 1)
    assert events[0].data["depth"] == 2
    await stream.leave()


async def test_who_comes_back_goes_on_where_it_was_at_any_process(app: App, chain: Chain) -> None:
    stream = Stream(app)
    begun = await stream.next()
    assert begun is not None
    await stream.leave()
    chain.extend(3)
    async with running(chain.url) as other:
        for process in (app, other):
            again = Stream(process, begun.id)
            events = await again.take(3)
            assert [event.id for event in events] == ids_of(chain, chain.height - 2, chain.height - 1, chain.height)
            await again.leave()


async def test_the_last_event_may_be_named_in_the_query_too(app: App, chain: Chain) -> None:
    chain.extend()
    await app.at(chain.height)
    async with serving(chain.url) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(
            f"GET {EVENTS}?last_event_id={id_of(chain, chain.height - 1)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        async with asyncio.timeout(SOON):
            text = await reader.readuntil(b"event: block")
        assert b"200 OK" in text
        writer.close()


async def test_who_is_at_the_tip_already_is_told_nothing_until_there_is_something(app: App, chain: Chain) -> None:
    stream = Stream(app, id_of(chain, chain.height))
    with pytest.raises(TimeoutError):
        await stream.next(within=0.2)
    chain.extend()
    event = await stream.next()
    assert event is not None
    assert event.id == id_of(chain, chain.height)
    await stream.leave()


async def test_reorgs_that_happened_meanwhile_are_told_as_one_way(database_url: str) -> None:
    with chained(database_url, blocks=6) as chain:
        async with running(chain.url) as app:
            follower = Follower()
            stream = Stream(app)
            await follower.catch_up(stream, chain)
            chain.extend(3)
            await follower.catch_up(stream, chain)
            await stream.leave()
            before = chain.source.blocks[:]
            chain.fork(2, 3, name="one")
            chain.fork(4, 6, name="two")
            chain.fork(1, 2, name="three")
            again = Stream(app, follower.last)
            events = await again.take(1)
            assert (events[0].name, events[0].data["depth"]) == ("reorg", 3)
            follower.take(events[0])
            await follower.catch_up(again, chain)
            follower.assert_knows(chain.source.blocks)
            await again.leave()
            # A branch that comes back is no other than it was.
            chain.source.blocks[:] = before
            chain.follow()
            back = Stream(app, follower.last)
            await follower.catch_up(back, chain)
            follower.assert_knows(before)
            await back.leave()


async def test_a_reorg_of_the_very_first_block_is_told_too(cluster: Cluster, migrated_template: str) -> None:
    with chained(cluster.new_database(migrated_template), blocks=1) as chain:
        async with running(chain.url) as app:
            follower = Follower()
            stream = Stream(app)
            await follower.catch_up(stream, chain)
            chain.source = OfflineChain("another", maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
            chain.source.extend(3, 2)
            chain.follow()
            events = await stream.take(1 + chain.height)
            assert [event.name for event in events] == ["reorg", *["block"] * chain.height]
            assert events[-1].id == id_of(chain, chain.height)
            assert (events[0].data["height"], events[0].data["block_hash"]) == (0, "")
            # And from that place as well.
            again = Stream(app, events[0].id)
            assert [event.name for event in await again.take(chain.height)] == ["block"] * chain.height
            await again.leave()
            await stream.leave()


@pytest.mark.parametrize("last", ["5:" + "ab" * 32, "0:" + "ab" * 32, "2000000000:" + "00" * 32])
async def test_a_block_that_nobody_knows_is_answered_with_where_the_chain_stands(
    app: App, chain: Chain, last: str
) -> None:
    stream = Stream(app, last)
    event = await stream.next()
    assert event is not None
    assert (event.name, event.id) == ("reset", id_of(chain, chain.height))
    chain.extend()
    event = await stream.next()
    assert event is not None
    assert (event.name, event.id) == ("block", id_of(chain, chain.height))
    await stream.leave()


async def test_a_block_named_with_a_wrong_height_is_not_known(app: App, chain: Chain) -> None:
    block_hash = display(hash_of(chain.source.blocks[0]))
    stream = Stream(app, f"3:{block_hash}")
    event = await stream.next()
    assert event is not None
    assert event.name == "reset"
    await stream.leave()


async def test_no_place_but_that_before_the_first_block_goes_without_a_hash(app: App, chain: Chain) -> None:
    # A client that said so would be told a chain that begins in the middle.
    stream = Stream(app, f"{chain.height - 1}:")
    head = await stream.head()
    if head.status == 200:
        event = await stream.next()
        assert event is not None
        assert event.name == "reset"
    else:
        assert head.status == 422
    await stream.leave()


@pytest.mark.parametrize(
    "last", ["", "x", "5", "5:xyz", "-2:" + "ab" * 32, "5:" + "AB" * 32, " 5:" + "ab" * 32, "5:ab:", "9" * 99]
)
async def test_what_is_no_event_id_is_refused(app: App, last: str) -> None:
    answer = await app.ask(
        f"{EVENTS}?last_event_id={last}" if last != "" else EVENTS, headers={"last-event-id": last or "?"}
    )
    assert answer.status == 422
    assert "Last-Event-ID" in answer.json()["detail"]


async def test_no_more_streams_are_open_than_may_be(chain: Chain) -> None:
    async with running(chain.url, API_MAX_STREAMS=5) as app:
        streams = [Stream(app) for _ in range(20)]  # all at once
        heads = [await stream.head() for stream in streams]
        served = [stream for stream, head in zip(streams, heads, strict=True) if head.status == 200]
        assert len(served) == 5
        refused = next(head for head in heads if head.status != 200)
        assert (refused.status, refused.header("retry-after")) == (503, "5")
        assert app.metric("event_streams_open") == 5
        await served[0].leave()
        assert app.metric("event_streams_open") == 4
        late = Stream(app)
        assert (await late.head()).status == 200
        for stream in [*streams, late]:
            await stream.leave()
        assert app.metric("event_streams_open") == 0


async def test_a_client_that_hangs_up_is_noticed(chain: Chain) -> None:
    async with serving(chain.url) as app:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
            writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            async with asyncio.timeout(SOON):
                await reader.readuntil(b"event: tip")
            assert app.metric("event_streams_open") == 1
            writer.transport.abort()
            await until(lambda: app.metric("event_streams_open") == 0)


async def test_head_of_a_stream_ends(app: App) -> None:
    stream = Stream(app, method="HEAD")
    assert (await stream.head()).status == 200
    assert await stream.next(within=1) is None
    assert app.metric("event_streams_open") == 0


async def test_silence_is_broken_now_and_then(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.api.events.HEARTBEAT", 0.15)
    stream = Stream(app)
    await stream.next()
    for _ in range(2):
        comment = await stream.next(within=1, comments=True)
        assert comment is not None
        assert not comment.name
    await stream.leave()


async def test_silence_is_broken_also_while_the_database_answers_nothing(
    app: App, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.api.events.HEARTBEAT", 0.15)
    stream = Stream(app)
    await stream.next()
    hangs = asyncio.Event()

    async def path(*_: object) -> list[object]:
        await hangs.wait()
        return []

    monkeypatch.setattr(app.api.service.reader, "path", path)
    chain.extend()
    for _ in range(2):
        assert await stream.next(within=2, comments=True) is not None
    hangs.set()
    await stream.leave()


async def test_streams_end_at_once_when_the_process_is_told_to_stop(app: App) -> None:
    streams = [Stream(app) for _ in range(5)]
    for stream in streams:
        await stream.next()
    app.api.drain()
    for stream in streams:
        assert await stream.next(within=1) is None
    late = Stream(app)
    head = await late.head()
    assert head.status == 503
    await late.leave()


async def test_a_client_that_does_not_read_for_a_while_gets_all(app: App, chain: Chain) -> None:
    follower, slow = Follower(), Stream(app)
    await follower.catch_up(slow, chain)
    slow.reads.clear()
    for number in range(4):
        chain.extend(2, 1)
        chain.fork(1, 2, 1, name=f"fork {number}")
        await until(lambda: app.api.service.watcher.tip_hash == chain.tip_hash)
    slow.reads.set()
    await follower.catch_up(slow, chain)
    follower.assert_knows(chain.source.blocks)
    assert follower.resets == 0
    await slow.leave()


async def test_who_was_away_long_is_told_in_parts(app: App, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.api.events.PATH_LIMIT", 3)
    begun = id_of(chain, 1)
    chain.extend(8, 1)
    stream = Stream(app, begun)
    events = await stream.take(chain.height - 1)
    assert [event.id for event in events] == ids_of(chain, *range(2, chain.height + 1))
    await stream.leave()


async def test_many_streams_at_one_block_ask_the_database_once_a_block(chain: Chain) -> None:
    async with running(chain.url) as app:
        streams = [Stream(app) for _ in range(300)]
        for stream in streams:
            await stream.next()
        for _ in range(3):
            chain.extend()
            for stream in streams:
                event = await stream.next()
                assert event is not None
                assert event.id == id_of(chain, chain.height)
        assert app.metric("database_query_duration_seconds_count", query="path") <= 6
        for stream in streams:
            await stream.leave()


async def test_an_outage_of_the_database_ends_no_stream(app: App, chain: Chain) -> None:
    stream = Stream(app)
    await stream.next()
    with connect(chain.url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'simplicity-api%'"
        )
    chain.extend()
    event = await stream.next(within=10)
    assert event is not None
    assert event.id == id_of(chain, chain.height)
    await stream.leave()


async def test_an_orphan_that_was_forgotten_is_answered_with_where_the_chain_stands(
    app: App, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "ORPHANS", 1)
    old = id_of(chain, chain.height - 1)
    chain.fork(2, 3)  # of two orphans one is remembered
    stream = Stream(app, old)
    event = await stream.next()
    assert event is not None
    assert event.name == "reset"
    await stream.leave()


Step = tuple[str, int, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("extend"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("fork"), st.integers(1, 4), st.integers(0, 2)),
        st.tuples(st.just("leave"), st.just(0), st.just(0)),
        st.tuples(st.just("look"), st.just(0), st.just(0)),
    ),
    min_size=1,
    max_size=10,
)


async def listens_through(url: str, steps: Sequence[Step], seed: int) -> None:
    """Let a client follow a chain that does `steps`; it leaves and comes back at one of two processes."""
    choose = random.Random(seed)
    with chained(url, seed, blocks=4, operations=1) as chain:
        async with running(url) as one, running(url) as two:
            follower = Follower()
            stream: Stream | None = Stream(choose.choice((one, two)))
            assert stream is not None
            await follower.catch_up(stream, chain)
            for number, (kind, count, more) in enumerate(steps):
                if kind == "extend":
                    chain.extend(count, 1)
                elif kind == "fork":
                    chain.fork(count, count + more, 1, name=f"{seed} {number}")
                elif kind == "leave" and stream is not None:
                    await stream.leave()
                    stream = None
                elif kind == "look" and stream is not None:
                    await follower.catch_up(stream, chain)
                    follower.assert_knows(chain.source.blocks)
                if stream is None and choose.random() < 0.5:
                    stream = Stream(choose.choice((one, two)), follower.last)
            stream = stream or Stream(choose.choice((one, two)), follower.last)
            await follower.catch_up(stream, chain)
            follower.assert_knows(chain.source.blocks)
            assert follower.resets == 0
            await stream.leave()


async def in_a_database_of_its_own(cluster: Cluster, template: str, steps: Sequence[Step], seed: int) -> None:
    url = cluster.new_database(template)
    await listens_through(url, steps, seed)
    with connect(cluster.url()) as connection:  # many of them would fill a disk
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(url.rpartition("/")[2])))


def explores(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@explores(5)
@given(steps=STEPS, seed=st.integers(0, 1_000))
async def test_whatever_the_chain_does_a_client_that_comes_back_knows_it(
    cluster: Cluster, migrated_template: str, steps: list[Step], seed: int
) -> None:
    await in_a_database_of_its_own(cluster, migrated_template, steps, seed)


@pytest.mark.proof
@explores(150)
@given(steps=STEPS, seed=st.integers(0, 1_000_000))
async def test_whatever_many_chains_do_a_client_that_comes_back_knows_them(
    cluster: Cluster, migrated_template: str, steps: list[Step], seed: int
) -> None:
    await in_a_database_of_its_own(cluster, migrated_template, steps, seed)
