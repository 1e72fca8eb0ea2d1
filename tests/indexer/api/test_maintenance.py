"""Maintenance mode: who is turned away and how, from the command to a process that runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from audit import trail
from indexer.api import maintenance
from indexer.api.classes import MAINTAINED, RouteClass
from indexer.api.maintenance import NOT_ON, Maintenance
from indexer.store.connection import connect
from runbooks.cli import app as command
from tests.support.api import App, Chain, chained, running, until
from tests.support.outages import Durable
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from typer.testing import Result

pytestmark = pytest.mark.xdist_group("maintenance")  # one switch at a time

LIST = "/v1/indexer/brc20/list"
BY_CLASS = {"read": LIST, "bulk": f"{LIST}/all", "stream": "/v1/indexer/events", "auth": "/v1/auth/me"}
ALWAYS = ("/health", "/health/ready", "/v1/indexer/brc20/health", "/metrics", "/health/detailed", "/", "/openapi.json")


@pytest.fixture(autouse=True)
def _off(chain: Chain) -> Iterator[None]:
    """Leave the switch as it was found."""
    yield
    with connect(chain.url) as connection:
        maintenance.write(connection, NOT_ON)


@pytest.fixture
async def app(chain: Chain) -> AsyncIterator[App]:
    async with running(chain.url) as made:
        yield made


@pytest.fixture
def switch(chain: Chain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Switch:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", chain.url)
    return Switch()


class Switch:
    """The command, as an operator has it."""

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(command, ["api", "maintenance", *arguments])

    def __call__(self, *arguments: str) -> dict[str, Any]:
        done = self.run(*arguments, "--json")
        assert done.exit_code == 0, done.output
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


async def on(app: App, *, is_on: bool = True) -> None:
    await until(lambda: app.api.service.watcher.maintenance.is_on is is_on, within=1, what="the switching")


async def turned_away(app: App) -> set[str]:
    """Which classes of routes answer 503."""
    found = set()
    for name, target in BY_CLASS.items():
        if name == "stream":
            covered = app.api.service.watcher.maintenance.covers(RouteClass.STREAM)
            if not covered:
                continue  # it would not end
        if (await app.ask(target)).status == 503:
            found.add(name)
    return found


async def test_all_routes_answer_an_honest_503_but_those_that_tell_how_it_is(app: App, switch: Switch) -> None:
    switch("on", "--message", "back at 10:00 UTC", "--retry-after", "1800")
    await on(app)
    assert await turned_away(app) == set(BY_CLASS)
    answer = await app.ask(LIST)
    assert answer.header("retry-after") == "1800"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json() | {"title": ""} == {
        "type": "urn:simplicity:maintenance",
        "title": "",
        "status": 503,
        "detail": "back at 10:00 UTC",
    }
    for target in ALWAYS:
        assert (await app.ask(target)).status == 200, target
    assert (await app.ask("/v1/nothing")).status == 404
    switch("off")
    await on(app, is_on=False)
    assert await turned_away(app) == set()


@pytest.mark.parametrize("name", sorted(BY_CLASS))
async def test_a_chosen_class_is_turned_away_alone(app: App, switch: Switch, name: str) -> None:
    switch("on", "--only", name)
    await on(app)
    assert await turned_away(app) == {name}
    assert app.metric("maintenance_mode", **{"class": name}) == 1
    assert sum(app.metric("maintenance_mode", **{"class": each}) for each in MAINTAINED) == 1


async def test_a_post_is_turned_away_too(app: App, switch: Switch) -> None:
    switch("on", "--only", "auth")
    await on(app)
    assert (await app.ask("/v1/auth/token", method="POST")).status == 503


async def test_kept_answers_are_given_where_that_was_asked_for(app: App, switch: Switch, chain: Chain) -> None:
    before = await app.ask(LIST)
    switch("on", "--serve-cached")
    await on(app)
    hit = await app.ask(LIST)
    assert (hit.status, hit.cache, hit.body) == (200, "hit", before.body)
    for target in (f"{LIST}?limit=1", f"{LIST}/all"):
        assert (await app.ask(target)).status == 503, "there is no kept one"
    chain.extend()
    await app.at(chain.height)
    older = await app.ask(LIST)
    assert (older.status, older.cache, older.height) == (200, "stale", chain.height - 1)
    assert "maintenance" in (older.header("cache-status") or "")
    assert older.header("warning") == '110 - "Response is Stale"'
    assert int(older.header("age") or -1) >= 0


async def test_without_that_kept_answers_are_not_given(app: App, switch: Switch) -> None:
    await app.ask(LIST)
    switch("on")
    await on(app)
    assert (await app.ask(LIST)).status == 503


async def test_a_conditional_question_of_a_kept_answer_stays_one(app: App, switch: Switch) -> None:
    tag = (await app.ask(LIST)).header("etag")
    switch("on", "--serve-cached")
    await on(app)
    assert (await app.ask(LIST, headers={"if-none-match": tag or ""})).status == 304


async def test_a_stream_that_is_open_goes_on(app: App, switch: Switch, chain: Chain) -> None:
    from tests.support.streams import Stream  # noqa: PLC0415 - of this test alone

    stream = Stream(app)
    await stream.next()
    switch("on")
    await on(app)
    chain.extend()
    assert await stream.next() is not None
    await stream.leave()


async def test_where_nobody_tells_a_process_it_still_learns_of_the_switch(
    chain: Chain, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.api.tip.CHANNELS", ("nobody_speaks_here",))
    async with running(chain.url) as app:
        switch("on")
        await until(lambda: app.api.service.watcher.maintenance.is_on, within=1.5)


@pytest.fixture
def own() -> Iterator[Durable]:
    with Durable.create() as cluster:
        yield cluster


async def test_the_mode_outlasts_the_database(own: Durable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from indexer.store.schema import migrate  # noqa: PLC0415 - imports SQLAlchemy, which few tests need

    url = own.new_database()
    migrate(url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    with chained(url) as chain:
        async with running(chain.url) as app:
            await app.ask(LIST)
            Switch()("on", "--serve-cached", "--message", "moving house")
            await on(app)
            own.kill()
            await until(lambda: app.api.service.watcher.is_down)
            assert (await app.ask(LIST)).status == 200
            answer = await app.ask(f"{LIST}?limit=1")
            assert (answer.status, answer.json()["detail"]) == (503, "moving house")
            own.start()
            await until(lambda: not app.api.service.watcher.is_down)
            assert app.api.service.watcher.maintenance.is_on


def test_the_command_says_what_is_and_whether_that_is_new(switch: Switch) -> None:
    assert switch("show") == NOT_ON.as_dict() | {"changed": False}
    given = ("on", "--message", "soon", "--only", "bulk", "--only", "read", "--serve-cached", "--retry-after", "7")
    now = {"on": True, "message": "soon", "route_classes": ["bulk", "read"], "serve_cached": True, "retry_after": 7}
    assert switch(*given) == now | {"changed": True}
    assert switch(*given) == now | {"changed": False}
    assert switch("show") == now | {"changed": False}
    assert switch.run(*given).stdout == "maintenance is on for bulk, read, kept answers are given: soon (already)\n"
    assert switch.run("off").stdout == "maintenance is off\n"
    assert switch.run("off").stdout == "maintenance is off (already)\n"
    assert switch.run("show").stdout == "maintenance is off\n"
    assert switch("on")["route_classes"] == sorted(MAINTAINED)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("up",), "simplicity: up: say on, off or show\n"),
        (
            ("on", "--only", "reads"),
            "simplicity: --only: no such class of routes: reads; there are auth, bulk, read, stream\n",
        ),
        (("on", "--retry-after", "0"), None),
        ((), None),
    ],
)
def test_a_wrong_switch_is_one_clear_line(switch: Switch, arguments: tuple[str, ...], says: str | None) -> None:
    done = switch.run(*arguments)
    assert done.exit_code == 2
    assert says is None or done.stderr == says
    assert switch("show")["on"] is False


def test_a_database_that_is_away_is_one_clear_line(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:hunter2@127.0.0.1:{free_port()}/none")
    done = switch.run("on")
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.output


def test_a_database_that_was_never_migrated_is_one_clear_line(
    switch: Switch, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    done = switch.run("on")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "simplicity sync" in done.stderr


def test_a_user_who_may_not_switch_is_told_who_may(
    switch: Switch, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(chain.url) as connection:
        connection.execute("DROP ROLE IF EXISTS may_not_switch")
        connection.execute("CREATE ROLE may_not_switch LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA ops TO may_not_switch")
        connection.execute("GRANT SELECT ON ops.maintenance TO may_not_switch")
    monkeypatch.setenv("DATABASE_URL", chain.url.replace("postgres@", "may_not_switch@"))
    try:
        assert switch("show")["on"] is False
        done = switch.run("on")
        assert done.exit_code == 2
        assert "use the owner of the database" in done.stderr
    finally:
        with connect(chain.url) as connection:
            connection.execute("DROP OWNED BY may_not_switch")
            connection.execute("DROP ROLE may_not_switch")


def test_a_class_of_a_later_release_is_left_out() -> None:
    row = {"is_on": True, "message": "", "route_classes": ["read", "mempool"], "serve_cached": False, "retry_after": 1}
    assert Maintenance.of(row).route_classes == {"read"}


def test_every_switching_is_in_the_audit_trail_and_what_switches_nothing_is_not(switch: Switch, chain: Chain) -> None:
    with connect(chain.url) as connection:
        last = trail.head(connection)
        switch("on", "--only", "bulk", "--message", "back soon")
        switch("on", "--only", "bulk", "--message", "back soon")
        switch("show")
        switch("off")
        on, off = (link.facts for link in trail.links(connection, last.seq if last else 0))
    wanted = {"on": True, "message": "back soon", "route_classes": ["bulk"], "serve_cached": False, "retry_after": 60}
    assert (on["action"], on["target"], on["result"]) == ("api.maintenance", "maintenance switch", "done")
    assert on["before"] == off["after"] == {"maintenance": [NOT_ON.as_dict()]}
    assert on["after"] == off["before"] == {"maintenance": [wanted]}
    assert on["arguments"] == wanted


def test_a_database_of_an_earlier_release_has_no_switch(empty_database_url: str) -> None:
    done = CliRunner().invoke(command, ["api", "maintenance", "show"], env={"DATABASE_URL": empty_database_url})
    assert done.exit_code == 2
    assert "no maintenance switch yet; run this release's: simplicity sync" in done.stderr
