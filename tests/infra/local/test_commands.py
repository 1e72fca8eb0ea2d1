"""The commands in this process, as far as they need no envelope that is up."""

from __future__ import annotations

import json
import sys
import webbrowser
from threading import Timer
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from infra.local import commands, logs
from infra.local.assembly import ensure_secrets, remembered_ports
from infra.local.bring_up import Outcome
from infra.local.component import Envelope, Options, components
from infra.local.layout import Layout, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result

EVERYTHING = {port.name: port.default for component in components() for port in component.ports}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SIMPLICITY_TOOLS", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return Layout(home=tmp_path / "home", tools=tmp_path / "home" / "tools")


@pytest.fixture
def used(place: Layout) -> Layout:
    """A home in which an envelope once was up."""
    place.create()
    write_private(place.ports, json.dumps(EVERYTHING))
    (place.log / "sync.log").write_text('{"level": "INFO", "message": "one"}\n{"level": "ERROR", "message": "two"}\n')
    (place.log / "postgresql.log").write_text("2026-11-22 18:25:42.773 UTC [1] FATAL:  three\n")
    return place


def run(command: Callable[..., None], *arguments: str, typed: str | None = None) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments), input=typed, catch_exceptions=False)


def envelope(place: Layout, *, traffic: bool = True) -> Envelope:
    secrets = ensure_secrets(place, (name for component in components() for name in component.secrets))
    return Envelope(place, remembered_ports(place), Options(traffic=traffic), secrets)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_before_the_first_up_each_command_says_what_starts_the_envelope(place: Layout) -> None:
    for command in (commands.status, commands.logs, commands.open_):
        done = run(command)
        assert done.exit_code == 3, done.output
        assert "`simplicity up` starts" in done.output
    assert json.loads(run(commands.status, "--json").stdout)["overall"] == "not up"
    assert run(commands.down).stdout == "nothing was running\n"
    assert not place.data.exists()


def test_logs_of_all_components_carry_their_names_and_those_of_one_do_not(used: Layout) -> None:
    lines = run(commands.logs).stdout.splitlines()
    assert sorted(line.split()[0] for line in lines) == ["postgresql", "sync", "sync"]
    assert run(commands.logs, "sync").stdout.splitlines() == ["INFO     one", "ERROR    two"]
    assert run(commands.logs, "sync", "-n", "1").stdout == "ERROR    two\n"
    assert run(commands.logs, "--level", "CRITICAL").stdout.split()[-1] == "three"
    assert used.log.exists()


def test_logs_are_followed_until_ctrl_c(used: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    follow = logs.follow

    def until_one_was_seen(paths: dict[str, Path]) -> Iterator[tuple[str, str]]:
        lines = follow(paths)
        write = Timer(0.1, append, (used.log / "sync.log", '{"level": "INFO", "message": "three"}\n'))
        write.start()
        yield next(lines)
        write.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(logs, "follow", until_one_was_seen)
    done = run(commands.logs, "sync", "-f", "-n", "1")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["ERROR    two", "INFO     three"]


def test_logs_of_a_group_are_those_of_all_its_processes_and_filters_find_a_request(used: Layout) -> None:
    for name in ("api-1", "api-2"):
        lines = [{"message": f"of {name}", "request_id": name, "user_id": "wallet"}, {"message": "other"}]
        append(used.log / f"{name}.log", "".join(json.dumps(line) + "\n" for line in lines))
    assert sorted({line.split()[0] for line in run(commands.logs, "api").stdout.splitlines()}) == ["api-1", "api-2"]
    found = run(commands.logs, "--request-id", "api-2").stdout
    assert (found.split()[0], found.count("\n")) == ("api-2", 1)
    assert run(commands.logs, "api", "--user", "wallet").stdout.count("\n") == 2
    assert run(commands.logs, "api-1", "--user", "nobody").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cache"], "there is no component 'cache'; there are "),
        (["--level", "loud"], "there is no level 'loud'; there are debug, "),
    ],
)
def test_logs_of_what_there_is_not_are_a_usage_error(used: Layout, arguments: list[str], says: str) -> None:
    done = run(commands.logs, *arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert says in done.stderr
    assert used.data.exists()


def test_restart_of_what_there_is_not_is_a_usage_error_and_without_an_envelope_it_says_what_starts_one(
    place: Layout,
) -> None:
    wrong = run(commands.restart, "api", "moon")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
    assert "there is no component 'moon'; there are " in wrong.stderr
    down = run(commands.restart, "api")
    assert (down.exit_code, "`simplicity up` starts it" in down.stderr) == (3, True)
    assert not place.data.exists()


def test_open_prints_the_address_and_opens_it_only_where_there_is_a_browser(
    used: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert run(commands.open_).stdout == f"http://127.0.0.1:{EVERYTHING['operations']}\n"
    assert run(commands.open_, "docs").stdout == f"http://127.0.0.1:{EVERYTHING['api']}/docs\n"
    assert run(commands.open_, "prometheus").stdout == f"http://127.0.0.1:{EVERYTHING['prometheus']}\n"
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    run(commands.open_, "api")
    assert opened == [f"http://127.0.0.1:{EVERYTHING['api']}"]
    wrong = run(commands.open_, "moon")
    assert (wrong.exit_code, "there is no page 'moon'" in wrong.stderr) == (2, True)
    assert used.data.exists()


@pytest.mark.parametrize(("answer", "code", "kept"), [("n\n", 1, True), ("y\n", 0, False)])
def test_reset_on_a_terminal_asks_and_does_what_is_answered(
    used: Layout,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    kept: bool,  # noqa: FBT001 - as above
) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(commands, "sys", terminal)
    done = run(commands.reset, typed=answer)
    assert (done.exit_code, used.data.exists()) == (code, kept), done.output
    assert f"deletes {used.data}" in done.output


def test_reset_of_a_linked_data_directory_deletes_the_link_and_not_what_it_leads_to(
    place: Layout, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place.home.mkdir()
    place.data.symlink_to(elsewhere)
    assert run(commands.reset, "--yes").exit_code == 0
    assert (place.data.is_symlink(), elsewhere.exists()) == (False, True)
    assert run(commands.reset, "--yes").exit_code == 0, "what is gone already is no error"


def test_what_the_system_refuses_is_one_line_with_the_place(used: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(used.ports))

    monkeypatch.setattr(commands, "bring_up", full)
    done = run(commands.up)
    assert (done.exit_code, done.stderr) == (1, f"simplicity: {used.ports}: No space left on device\n")


def test_an_interrupted_up_says_that_the_rest_goes_on(used: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "bring_up", interrupted)
    done = run(commands.up)
    assert done.exit_code == 130
    assert "`simplicity status` shows it, `simplicity down` stops it" in done.stderr
    assert used.data.exists()


def test_a_component_that_fails_is_shown_with_its_last_words_and_the_rest_goes_on(
    used: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = Outcome(envelope(used), failed={"postgresql": "not ready", "sync": "not started: it needs postgresql"})
    outcome.began["postgresql"] = 1.0
    monkeypatch.setattr(commands, "bring_up", lambda *_, **__: outcome)
    done = run(commands.up)
    assert done.exit_code == 1
    assert "postgresql is not up: not ready" in done.stdout
    assert "FATAL:  three" in done.stdout
    assert "simplicity logs postgresql" in done.stdout
    assert "sync is not up: not started: it needs postgresql" in done.stdout
    assert "ERROR    two" not in done.stdout, "what was not begun has no words of today"
    assert "The rest goes on running" in done.stdout
    answer = json.loads(run(commands.up, "--json").stdout)
    assert answer["failed"] == outcome.failed
    assert answer["warm"] is True


def test_up_ends_with_what_to_try_next_and_says_how_long_it_took(used: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = Outcome(envelope(used, traffic=False), started=["api"])
    monkeypatch.setattr(commands, "bring_up", lambda *_, **__: outcome)
    monkeypatch.setenv("SIMPLICITY_SETUP_SECONDS", "12")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", [f"{sys.prefix}/bin/simplicity", "up"])
    done = run(commands.up)
    assert done.exit_code == 0
    assert "times       set-up 12 s, start " in done.stdout
    assert "traffic     off; `simplicity up --traffic`" in done.stdout
    assert f"operations  http://127.0.0.1:{EVERYTHING['operations']}" in done.stdout
    assert f"curl -s http://127.0.0.1:{EVERYTHING['api']}/v1/indexer/brc20/list" in done.stdout
    assert "bin/simplicity logs sync -f" in done.stdout, "as it can be typed where it is not in PATH"
    used.environment.stat()


def test_up_takes_the_scale_of_the_alerts_and_leaves_what_is_not_given_as_it_was(
    used: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    wished: list[dict[str, object]] = []

    def noted(*_: object, **wishes: object) -> Outcome:
        wished.append(wishes)
        return Outcome(envelope(used, traffic=False))

    monkeypatch.setattr(commands, "bring_up", noted)
    assert run(commands.up, "--alert-scale", "1440").exit_code == 0
    assert run(commands.up).exit_code == 0
    assert [wishes["alert_scale"] for wishes in wished] == [1440.0, None]
    assert run(commands.up, "--alert-scale", "0").exit_code == 2


def test_up_that_only_takes_something_away_says_so(used: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = Outcome(envelope(used, traffic=False), removed=["traffic"])
    monkeypatch.setattr(commands, "bring_up", lambda *_, **__: outcome)
    assert "stopped     traffic" in run(commands.up).stdout
    answer = json.loads(run(commands.up, "--json").stdout)
    assert (answer["stopped"], answer["changed"]) == (["traffic"], True)


def test_up_waits_a_while_for_the_first_indexed_block_and_then_no_longer(
    used: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "FIRST_BLOCK_SECONDS", 0.3)
    monkeypatch.setattr(commands, "bring_up", lambda *_, **__: Outcome(envelope(used), started=["api"]))
    done = run(commands.up)
    assert done.exit_code == 0
    assert "waiting for the first indexed block" in done.stdout
    assert "none yet: no block is indexed" in done.stdout
