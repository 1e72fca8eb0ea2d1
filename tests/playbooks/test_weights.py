"""`simplicity-weights` against a balancer that is imitated: tests/fleet asks a real one."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

if TYPE_CHECKING:
    from types import ModuleType

SCRIPT = Path(__file__).parents[2] / "playbooks/roles/haproxy/files/simplicity_weights.py"
FIELDS = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"


class Balancer:
    """Servers with weights; it writes down who was given one, and refuses where it is told to."""

    def __init__(self, **weights: int) -> None:
        self.weights = {name.replace("_", "-"): weight for name, weight in weights.items()}
        self.given: list[tuple[str, int]] = []
        self.refuses = ""

    def ask(self, command: str) -> str:
        if command.startswith("show servers state"):
            rows = [f"3 api {number} {name} 10.0.0.1 2 0 {weight} 100" for number, (name, weight) in self.rows()]
            return "\n".join(["1", f"# {FIELDS}", *rows])
        words = command.split()
        assert (words[:2], words[3]) == (["set", "server"], "weight")
        name, weight = words[2].removeprefix("api/"), int(words[4])
        if name == self.refuses:
            return "No such server."
        self.given.append((name, weight))
        self.weights[name] = weight
        return ""

    def rows(self) -> Any:  # noqa: ANN401 - pairs
        return enumerate([*self.weights.items(), ("app1-blue-unready", 1)])


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("simplicity_weights", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "STATE", tmp_path / "server-state")
    return module


def run(program: ModuleType, balancer: Balancer, *arguments: str) -> int:
    with patch.object(program, "ask", balancer.ask):
        return int(program.main(list(arguments)))


def test_a_colour_that_gets_more_gets_it_first_so_that_somebody_is_always_asked(program: ModuleType) -> None:
    balancer = Balancer(app1_blue=100, app2_blue=100, app1_green=0, app2_green=0)
    assert run(program, balancer, "blue=0", "green=100") == 0
    assert balancer.given == [("app1-green", 100), ("app2-green", 100), ("app1-blue", 0), ("app2-blue", 0)]


def test_what_is_so_already_is_not_said_again(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    balancer = Balancer(app1_blue=100, app1_green=0)
    assert run(program, balancer, "blue=100", "green=0") == 0
    assert balancer.given == []
    assert json.loads(capsys.readouterr().out) == {
        "colours": {"blue": 100, "green": 0},
        "servers": {"app1-blue": {"weight": 100, "up": True}, "app1-green": {"weight": 0, "up": True}},
        "changed": False,
    }


@pytest.mark.parametrize("wrong", ["red=5", "blue=257", "blue=-1", "blue=x", "blue", "blue=0", "keep"])
def test_weights_that_cannot_be_are_refused_before_anything_is_done(program: ModuleType, wrong: str) -> None:
    balancer = Balancer(app1_blue=100, app1_green=0)
    assert run(program, balancer, wrong) == 2
    assert balancer.given == []
    assert not program.STATE.exists()


def test_a_server_that_refuses_is_an_error_and_nothing_is_kept(
    program: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    balancer = Balancer(app1_blue=100, app1_green=0)
    balancer.refuses = "app1-green"
    assert run(program, balancer, "blue=95", "green=5") == 1
    assert "app1-green: No such server." in capsys.readouterr().err
    assert not program.STATE.exists()


def test_a_server_that_is_added_gets_the_weight_that_its_colour_was_left_with(program: ModuleType) -> None:
    assert run(program, Balancer(app1_blue=100, app2_blue=100, app1_green=0, app2_green=0), "blue=0", "green=100") == 0
    # After a reload it has what the settings give to a first colour.
    balancer = Balancer(app1_blue=0, app2_blue=0, app3_blue=100, app1_green=100, app2_green=100, app3_green=0)
    assert run(program, balancer, "settle") == 0
    assert balancer.given == [("app3-green", 100), ("app3-blue", 0)]
    assert "app3-green" in program.STATE.read_text()


def test_without_anything_kept_the_settings_count(program: ModuleType) -> None:
    balancer = Balancer(app1_blue=100, app1_green=0)
    assert run(program, balancer, "settle") == 0
    assert balancer.given == []
