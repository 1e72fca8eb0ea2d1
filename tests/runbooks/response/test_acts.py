"""What answers do to services, and what they keep of what they see."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.drivers.protocols import Operation, Phase, ServiceState
from runbooks.engine.arguments import ArgumentError, parse_arguments
from runbooks.engine.model import Halt, Unmet
from runbooks.response import acts
from runbooks.response.acts import evidence_step, metrics, once, require, restart_step, service_parameter
from tests.runbooks.engine.support import environment
from tests.runbooks.response.support import carried_out, context, says, with_prometheus

if TYPE_CHECKING:
    from tests.support.canned import Canned


class _Services:
    """Services that restart at once; `restarted` says which."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **states: str) -> None:
        self.states, self.pids, self.restarted = states, dict.fromkeys(states, 1), []  # type: ignore[var-annotated]
        monkeypatch.setattr(acts, "services", lambda _: self.all())
        monkeypatch.setattr(acts, "drive", self.drive)

    def all(self) -> list[ServiceState]:
        return [
            ServiceState(name=name, group="api" if "api" in name else "", state=state, pid=self.pids[name], detail="d")
            for name, state in self.states.items()
        ]

    def drive(self, _context: object, action: str, name: str, key: str) -> Operation:
        self.restarted.append((name, key))
        before, self.pids[name], self.states[name] = self.pids[name], self.pids[name] + 1, "running"
        return Operation(
            key=key,
            driver="d",
            action=action,
            target=name,
            arguments={},
            phase=Phase.DONE,
            detail="",
            result={"before": {name: before}, "after": {name: self.pids[name]}},
            began="",
            ended="",
        )


def test_what_does_not_answer_is_restarted_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = _Services(monkeypatch, api_1="not ready", api_2="running", sync="stopped")
    facts, seen = carried_out(restart_step("api"), context(environment(), tmp_path))
    assert there.restarted == [("api_1", "r-restart-api_1")]
    assert facts == {"restart": {"api_1": {"before": 1, "after": 2}}}
    assert seen == "api_1 runs with pid 2 (before: 1)"


def test_a_process_that_comes_after_a_killed_one_restarts_the_same_and_not_what_is_unwell_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = _Services(monkeypatch, api_1="not ready", api_2="running")
    at = context(environment(), tmp_path)
    carried_out(restart_step("api"), at)
    there.states["api_2"] = "not ready"
    carried_out(restart_step("api"), at)
    assert [name for name, _ in there.restarted] == ["api_1", "api_1"], "the same operation of the same key"
    assert len(set(there.restarted)) == 1
    carried_out(restart_step("api"), context(environment(), tmp_path, attempt=2))
    assert there.restarted[-1] == ("api_2", "r-restart-2-api_2"), "another attempt looks anew"


@pytest.mark.parametrize(
    ("asked", "restarted"), [("api_2", ["api_2"]), ("none", []), ("sync", []), ("auto", ["api_1"])]
)
def test_a_service_can_be_named_and_only_by_the_step_that_it_belongs_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, restarted: list[str]
) -> None:
    there = _Services(monkeypatch, api_1="not ready", api_2="running", sync="running")
    _, seen = carried_out(restart_step("api"), context(environment(), tmp_path, arguments={"service": asked}))
    assert [name for name, _ in there.restarted] == restarted
    assert restarted or "nothing had to be restarted" in seen


def test_a_service_that_is_not_new_or_not_ready_keeps_the_step_asking(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _Services(monkeypatch, api_1="running")
    step = restart_step("api")
    for facts, said in (
        ({}, "nothing has been restarted yet"),
        ({"restart": {"api_1": {"before": 1, "after": 2}}}, "api_1 is running with pid 1"),
    ):
        with pytest.raises(Unmet, match=said):
            step.check(context(environment(), tmp_path, step="restart", facts=facts))


def test_what_needs_another_component_waits_for_that_ones_answer(tmp_path: Path) -> None:
    at = context(environment(), tmp_path)
    with pytest.raises(Halt, match=r"database is unhealthy .*simplicity runbook run answer-database-down` first"):
        require(at, "database")
    with pytest.raises(Halt, match="answer-node-down"):
        restart_step("sync", needs=("node",)).act(at)


def test_what_finds_its_way_back_by_itself_is_not_restarted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = _Services(monkeypatch, api_1="not ready")
    at = context(environment(), tmp_path)
    assert acts.lasting(at, ("api",), 0.6) == ["api_1"]

    def well_now(_: float) -> None:
        there.states["api_1"] = "running"

    monkeypatch.setattr("runbooks.response.acts.time.sleep", well_now)
    assert acts.lasting(at, ("api",), 60.0) == []


def test_only_what_is_of_the_answer_can_be_named() -> None:
    parameter = service_parameter("api", "haproxy")
    for text in ("auto", "none", "api-1", "haproxy"):
        assert parse_arguments([parameter], [f"service={text}"]) == {"service": text}
    for text in ("postgresql", "api", "api-1;reboot"):
        with pytest.raises(ArgumentError, match="has to be one of auto, none, api-1, api-2, haproxy"):
            parse_arguments([parameter], [f"service={text}"])


def test_a_decision_is_made_once(tmp_path: Path) -> None:
    at = context(environment(), tmp_path)
    assert [once(at, "x", lambda: 1), once(at, "x", lambda: 2), once(at, "y", lambda: None)] == [1, 1, None]


def test_evidence_is_whole_though_a_part_of_it_cannot_be_seen_and_holds_no_secret(tmp_path: Path) -> None:
    def broken(_: Any) -> Any:  # noqa: ANN401 - a part of the evidence
        raise OSError("no such\nplace")

    parts = {
        "broken": broken,
        "odd": lambda _: {"nan": math.nan, "list": [1, (2.5, math.inf)], "url": "postgresql://u:hunter2@h/d"},
    }
    step = evidence_step(parts, "what to do", "by hand")
    facts, seen = carried_out(step, context(environment(), tmp_path))
    kept = json.loads(Path(str(facts["evidence"])).read_text())
    assert kept["broken"] == {"cannot be told": "OSError: no such place"}
    assert (kept["odd"]["nan"], kept["odd"]["list"]) == ("nan", [1, [2.5, "inf"]])
    assert "hunter2" not in json.dumps(kept)
    assert seen.endswith("decide: what to do")
    assert step.reads_only


def test_metrics_are_kept_with_their_labels_the_largest_first(server: Canned, tmp_path: Path) -> None:
    says(server, 'up{cluster="made-up"}', ({"job": "a"}, 1.0), ({"job": "b"}, 2.0))
    found = metrics(up="up{HERE}")(context(with_prometheus(server.url), tmp_path))
    assert found == {"up": [{"job": "b", "value": 2.0}, {"job": "a", "value": 1.0}]}
