from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from loadtests.cli import app
from tests.loadtests.canned_api import canned_api
from tests.loadtests.test_target import document

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


def call(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env={"SIMPLICITY_ENVIRONMENT": None, **environment})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "wave", "--host", "http://127.0.0.1:1"), "there is no shape 'wave': ramp, steady, spike, soak"),
        (("run", "ramp", "--host", "http://127.0.0.1:1", "--time", "1h30m"), "--time '1h30m' is no time such as 45s"),
        (("run", "ramp", "--host", "http://127.0.0.1:1", "--users", "0"), "0 users: give from 1 to 10000"),
        (("run", "ramp", "--host", "127.0.0.1:1"), "--host is no URL such as"),
        (("run", "ramp", "--environment", "/there/is/none"), "no environment here"),
        (("run", "ramp", "--host", "http://127.0.0.1:1", "--key-file", "/there/is/none"), "the keys cannot be read"),
        (("run", "ramp", "--host", "http://127.0.0.1:1", "--environment", "/x"), "give --environment or --host"),
        (("worker", "--master", "10.0.0.5"), "--master '10.0.0.5' is no HOST:PORT"),
        (("worker", "--master", "10.0.0.5:70000"), "is no HOST:PORT"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line_with_exit_code_2(arguments: tuple[str, ...], says: str) -> None:
    done = call(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("simplicity: ")
    assert says in done.stderr


def test_a_master_has_to_be_told_a_whole_address_before_anything_is_begun() -> None:
    with canned_api() as api:
        done = call("master", "ramp", "--host", api.url, "--workers", "1", "--listen", ":5557")
        assert api.asked == []
    assert done.exit_code == 2
    assert "--listen ':5557' is no HOST:PORT" in done.stderr


@pytest.mark.parametrize("name", ["production", "staging"])
def test_what_is_not_local_is_loaded_only_by_who_says_yes(tmp_path: Path, name: str) -> None:
    with canned_api() as api:
        endpoints = {"api": api.url}
        path = document(tmp_path / "e.json", place="cloud", name=name, endpoints=endpoints)
        done = call("run", "ramp", "--environment", str(path))
        assert (done.exit_code, api.asked) == (2, [])
        assert f"{name} (cloud) is not a local environment, and its users would feel it; repeat" in done.stderr
        # With it, the next thing that is wrong is told.
        done = call("run", "ramp", "--environment", str(path), "--yes", "--slo", "/there/is/none")
        assert "/there/is/none" in done.stderr
        assert (done.exit_code, api.asked) == (2, [])


def test_an_address_elsewhere_is_loaded_only_by_who_says_yes() -> None:
    done = call("run", "ramp", "--host", "https://api.example.com")
    assert done.exit_code == 2
    assert "https://api.example.com is not a local environment" in done.stderr


def test_an_api_that_is_away_or_has_nothing_is_exit_code_3() -> None:
    assert call("run", "ramp", "--host", "http://127.0.0.1:1").exit_code == 3
    with canned_api() as api:
        api.change = lambda _number, target: (200, []) if "list" in target else None
        done = call("run", "ramp", "--host", api.url)
    assert done.exit_code == 3
    assert done.stderr.startswith("simplicity: the index has no tickers")


def test_what_a_server_says_reaches_the_terminal_without_its_control_characters() -> None:
    with canned_api() as api:
        api.change = lambda *_: (503, {"detail": "\x1b[2Jgone\nsimplicity: all well"})
        done = call("run", "ramp", "--host", api.url)
    assert "\x1b" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_shapes_and_users_are_listed() -> None:
    done = call("list")
    assert done.exit_code == 0
    for word in ("ramp", "steady", "spike", "soak", "wallet", "60%", "explorer", "market-bot"):
        assert word in done.stdout
    listed = json.loads(call("list", "--json").stdout)
    assert [row["name"] for row in listed["shapes"]] == ["ramp", "steady", "spike", "soak"]
    assert sum(row["share"] for row in listed["users"]) == pytest.approx(1)


@pytest.mark.parametrize("command", ["run", "master", "worker", "list"])
def test_every_command_says_its_exit_codes_and_an_example(command: str) -> None:
    text = call(command, "--help").stdout
    assert "Exit code 0" in text
    assert "Example" in text
