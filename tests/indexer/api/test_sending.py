"""What answers carry: entity tags, how long they may be kept, the block that they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from indexer.api.call import Call
from indexer.api.sending import Recorder, Sender, head_of, text_of
from tests.support.api import App, Chain, running, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Message

LIST = "/v1/indexer/brc20/list"
OTHER = '"000000000000000000000000"'
LONG, SHORT = "public, max-age=86400, must-revalidate", "public, max-age=1, must-revalidate"


@pytest.fixture
async def app(chain: Chain) -> AsyncIterator[App]:
    async with running(chain.url) as made:
        yield made


async def tag_of(app: App, target: str = LIST) -> str:
    tag = (await app.ask(target)).header("etag")
    assert tag is not None
    return tag


# --- entity tags -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", "W/{}", f"{OTHER}, {{}}", f"W/{OTHER},W/{{}}", "{} , " + OTHER, "*", " {} "])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_has_the_answer_already_is_told_so(calm: App, form: str, method: str) -> None:
    whole = await calm.ask(LIST)
    answer = await calm.ask(LIST, method=method, headers={"if-none-match": form.format(await tag_of(calm))})
    assert (answer.status, answer.body) == (304, b"")
    for name in ("etag", "cache-control", "simplicity-height", "simplicity-block-hash", "simplicity-state-hash"):
        assert answer.header(name) == whole.header(name)
    assert answer.header("content-type") is None
    assert answer.header("content-length") is None


@pytest.mark.parametrize("form", [OTHER, f"W/{OTHER}", "", ",", "{0}x", "x{0}", '"*"', "{1}"])
async def test_who_has_another_gets_this_one(calm: App, form: str) -> None:
    tag = await tag_of(calm)
    answer = await calm.ask(LIST, headers={"if-none-match": form.format(tag, tag.strip('"'))})
    assert answer.status == 200
    assert answer.json()


async def test_tags_in_two_header_lines_are_one_list(calm: App) -> None:
    tag = await tag_of(calm)
    for lines in ([tag, OTHER], [OTHER, tag]):
        answer = await calm.ask(LIST, headers=[("if-none-match", line) for line in lines])
        assert answer.status == 304


async def test_what_is_not_there_is_never_not_modified(calm: App) -> None:
    target = "/v1/indexer/brc20/NOSUCH/info"
    tag = (await calm.ask(target)).header("etag")
    for known in ["*", *([tag] if tag else [])]:
        answer = await calm.ask(target, headers={"if-none-match": known})
        assert answer.status == 404, known


async def test_tags_are_equal_for_equal_answers_in_every_process_and_differ_for_others(chain: Chain) -> None:
    async with running(chain.url) as one, running(chain.url) as two:
        assert await tag_of(one) == await tag_of(two)
        assert await tag_of(one) != await tag_of(one, "/v1/indexer/brc20/status")
        before = await tag_of(one)
        state = await tag_of(one, "/v1/indexer/state/1")
        chain.extend(3, 6)
        await one.at(chain.height)
        assert await tag_of(one, "/v1/indexer/state/1") == state, "of an old block nothing has changed"
        changed = (await one.read("/brc20/list")) != (await two.read("/brc20/list")) or await tag_of(one) != before
        assert changed


async def test_the_tag_of_a_stale_page_is_checked_as_well(app: App, chain: Chain) -> None:
    tag = await tag_of(app)
    chain.extend(1, 0)  # an empty block: the list is as it was
    await app.at(chain.height)
    answer = await app.ask(LIST, headers={"if-none-match": tag})
    assert (answer.status, answer.cache, answer.height) == (304, "miss", chain.height)


# --- how long ---------------------------------------------------------------------------------------------------------


async def test_what_no_reorg_can_reach_may_be_kept_long_and_all_else_shortly(chain: Chain) -> None:
    chain.extend(4)
    async with running(chain.url, MAX_REORG_DEPTH=3) as app:
        tip = chain.height
        for path in ("/v1/indexer/state/{}", "/v1/indexer/brc20/history-by-height/{}"):
            for height in range(1, tip + 1):
                answer = await app.ask(path.format(height))
                assert answer.header("cache-control") == (LONG if height <= tip - 3 else SHORT), (path, height)
        for path in ("/brc20/list", "/brc20/status", "/brc20/NOSUCH/info", "/brc20/NOSUCH/history"):
            assert (await app.ask(f"/v1/indexer{path}")).header("cache-control") == SHORT
        missing = await app.ask(f"/v1/indexer/state/{tip + 1}")
        assert (missing.status, missing.header("cache-control")) == (404, SHORT)


async def test_a_block_that_is_not_there_yet_may_not_be_kept_long(chain: Chain) -> None:
    async with running(chain.url, MAX_REORG_DEPTH=3) as app:
        answer = await app.ask(f"/v1/indexer/brc20/history-by-height/{chain.height + 5}")
        assert (answer.status, answer.json(), answer.header("cache-control")) == (200, [], SHORT)


async def test_closed_reads_are_private_however_long_they_may_be_kept(chain: Chain) -> None:
    async with running(chain.url, API_PUBLIC_READS=True, MAX_REORG_DEPTH=1) as app:
        app.api.front.reads.settings = app.api.service.settings.model_copy(update={"API_PUBLIC_READS": False})
        for target, how in (("/v1/indexer/state/1", LONG), (LIST, SHORT)):
            assert (await app.ask(target)).header("cache-control") == how.replace("public", "private")


# --- of which block ---------------------------------------------------------------------------------------------------


async def test_every_answer_of_the_index_names_its_block_and_state(app: App, chain: Chain) -> None:
    state = await app.read(f"/state/{chain.height}")
    for path in (
        "/brc20/status",
        "/brc20/list",
        "/brc20/list/all",
        "/brc20/NOSUCH/info",
        "/brc20/NOSUCH/holders",
        "/brc20/NOSUCH/history",
        "/brc20/NOSUCH/history/all",
        "/state/1",
        "/state/999",
        "/brc20/history-by-height/1",
        "/brc20/history-by-height/1/all",
    ):
        answer = await app.ask(f"/v1/indexer{path}")
        assert answer.height == chain.height, path
        assert answer.header("simplicity-block-hash") == state["block_hash"], path
        assert answer.header("simplicity-state-hash") == state["state_hash"], path


async def test_no_answer_is_run_by_a_browser(calm: App) -> None:
    for target in (LIST, f"{LIST}/all", "/nothing", f"{LIST}?limit=0", "/health"):
        answer = await calm.ask(target)
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "no-referrer"


async def test_over_http_a_304_leaves_the_connection_usable(chain: Chain) -> None:
    async with serving(chain.url) as app, httpx2.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{app.port}{LIST}"
        tag = (await client.get(url)).headers["etag"]
        for _ in range(3):
            assert (await client.get(url, headers={"If-None-Match": tag})).status_code == 304
            assert (await client.head(url)).status_code == 200
            assert (await client.get(url)).json()


# --- the parts --------------------------------------------------------------------------------------------------------


def test_a_head_is_read_once_and_keeps_the_last_of_what_was_sent_twice() -> None:
    head = head_of(
        [
            (b"x-forwarded-for", b"1.1.1.1"),
            (b"x-api-key", b"one"),
            (b"x-forwarded-for", b"2.2.2.2"),
            (b"x-api-key", b"two"),
            (b"cookie", b"ignored"),
        ]
    )
    assert (head.forwarded, head.api_key, head.authorization) == ([b"1.1.1.1", b"2.2.2.2"], b"two", None)


def test_every_byte_of_a_header_is_text() -> None:
    assert text_of(None) is None
    assert len(text_of(bytes(range(256))) or "") == 256


class Out:
    """A server's side of `send`."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)


@pytest.mark.parametrize("closing", [True, False])
async def test_an_answer_ends_its_connection_only_in_a_drain(closing: bool) -> None:  # noqa: FBT001 - a case
    out = Out()
    call = Call(request_id="r1")
    sender = Sender(out, call, bare=False, closing=closing, always=[])
    await sender.whole(200, [(b"content-length", b"2")], b"ok")
    assert ((b"connection", b"close") in out.messages[0]["headers"]) is closing
    assert (sender.started, call.status) == (True, 200)


@pytest.mark.parametrize("release", [None, "0.1.0-3f9c2a1b7d60"])
async def test_every_answer_says_of_which_release_it_is_where_there_is_one(chain: Chain, release: str | None) -> None:
    async with running(chain.url, RELEASE_ID=release) as made:
        tag = await tag_of(made)
        answers = [
            await made.ask(LIST),
            await made.ask(LIST, headers={"if-none-match": tag}),
            await made.ask(LIST, method="HEAD"),
            await made.ask("/health"),
            await made.ask("/nowhere"),
            await made.ask(LIST, headers={"x-api-key": "nonsense"}),
        ]
        assert [answer.status for answer in answers] == [200, 304, 200, 200, 404, 401]
        assert {answer.header("x-release") for answer in answers} == {release}
        assert answers[3].json() == {"status": "ok"} | ({} if release is None else {"release": release})


async def test_a_recorder_keeps_an_answer_in_parts() -> None:
    recorder = Recorder()
    await recorder({"type": "http.response.start", "status": 201, "headers": [(b"a", b"b")]})
    for part in (b"x", b"y"):
        await recorder({"type": "http.response.body", "body": part, "more_body": True})
    await recorder({"type": "http.response.body"})
    assert (recorder.status, recorder.headers, recorder.body) == (201, [(b"a", b"b")], b"xy")
