from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from infra.fleet import programs
from infra.local.layout import EnvelopeError
from tests.support.processes import simplicity

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"SIMPLICITY_HOME": str(tmp_path)}


def test_where_no_fleet_is_up_every_command_says_so(home: dict[str, str]) -> None:
    status = simplicity("fleet", "status", "--json", environment=home)
    assert (status.returncode, json.loads(status.stdout)) == (3, {"hosts": []})
    for words in (
        ("ssh", "db1"),
        ("power-cut", "db1"),
        ("partition", "db1"),
        ("heal",),
        ("logs", "db1"),
        ("remove", "x"),
    ):
        done = simplicity("fleet", *words, environment=home)
        assert done.returncode == 1
        assert done.stderr == "simplicity fleet: no fleet is up; `simplicity fleet up` boots one\n"
    down = simplicity("fleet", "down", environment=home)
    assert (down.returncode, down.stdout) == (0, "no fleet was up\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("up", "--prefix", "much-too-long"), "prefix 'much-too-long': a letter, then up to four letters or digits"),
        (("up", "--network", "10.88.0.0/99"), "'99' is not a valid netmask"),
        (("add", "cook"), "there is no role 'cook'; there are database, application, monitoring, balancer"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_made(
    home: dict[str, str], tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    done = simplicity("fleet", *words, environment=home)
    assert done.returncode == 2
    assert says in done.stderr
    assert not list(tmp_path.glob("fleet/run/*"))


def test_who_is_not_root_or_lacks_a_tool_learns_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EnvelopeError, match="say `sudo` before the command"):
        programs.check()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(programs, "PATH", "/nowhere")
    with pytest.raises(EnvelopeError, match=r"apt-get install .*mmdebstrap.*systemd-container"):
        programs.check()


def test_a_program_that_fails_or_hangs_is_one_line() -> None:
    with pytest.raises(EnvelopeError, match=r"^false: ended with 1$"):
        programs.run(["false"])
    with pytest.raises(EnvelopeError, match=r"^ls .*No such file"):
        programs.run(["ls", "/nowhere-at-all"])
    with pytest.raises(EnvelopeError, match=r"^sleep has not finished in 0 s$"):
        programs.run(["sleep", "5"], within=0.1)
    assert programs.run(["echo", "said"]) == "said\n"
