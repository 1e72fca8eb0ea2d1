"""The journal outlasts a kill at any byte, and a run's state is what its lines say."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from runbooks.engine.journal import JOURNAL, Journal, JournalError, all_runs, event, line_of, new_run_id, read_events
from runbooks.engine.state import Kind, Standing, fold
from tests.runbooks.engine.support import opened

if TYPE_CHECKING:
    from pathlib import Path

    from runbooks.engine.state import Event

RUN = "20261130T051200Z-made-up-3f9a"


def _filled(runs: Path, *events: Event) -> Journal:
    journal = Journal.create(runs, RUN)
    for each in (opened(), *events):
        journal.append(each)
    journal.close()
    return journal


def test_run_ids_sort_by_time_and_do_not_repeat() -> None:
    ids = [new_run_id("restart-service") for _ in range(50)]
    assert len(set(ids)) == 50
    assert ids[0][8] == "T"
    assert ids[0][16:33] == "-restart-service-"


def test_a_run_is_private_to_who_runs_it(tmp_path: Path) -> None:
    journal = _filled(tmp_path / "runs")
    modes = [path.stat().st_mode & 0o777 for path in (journal.directory, journal.folder, journal.directory / JOURNAL)]
    assert modes == [0o700, 0o700, 0o600]


def test_a_line_torn_at_any_byte_is_as_if_it_was_never_written(tmp_path: Path) -> None:
    _filled(tmp_path, event(Kind.BEGUN, "first"))
    path = tmp_path / RUN / JOURNAL
    whole = path.read_bytes()
    last = line_of(event(Kind.ACTED, "first", facts={"name": "ä"}))
    for size in range(len(last)):
        path.write_bytes(whole + last[:size])
        assert [each.kind for each in read_events(path)] == [Kind.OPENED, Kind.BEGUN]
        journal = Journal.open(tmp_path, RUN)
        journal.append(event(Kind.DONE, "first", seen="whole"))
        journal.close()
        assert [each.kind for each in read_events(path)] == [Kind.OPENED, Kind.BEGUN, Kind.DONE]


@pytest.mark.parametrize("line", [b"nonsense\n", b"[]\n", b'{"id": 1}\n', b"\xff\n", b"\n"])
def test_damage_in_the_middle_is_named_and_nothing_is_guessed(tmp_path: Path, line: bytes) -> None:
    _filled(tmp_path)
    path = tmp_path / RUN / JOURNAL
    path.write_bytes(line + path.read_bytes())
    with pytest.raises(JournalError, match="is damaged; put its last good copy back"):
        list(all_runs(tmp_path))


def test_a_journal_that_is_gone_or_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be read"):
        Journal.open(tmp_path, RUN)
    journal = _filled(tmp_path)
    with pytest.raises(JournalError, match="cannot be made"):
        Journal.create(tmp_path, RUN)
    closed = Journal.open(tmp_path, RUN)
    closed.close()
    with pytest.raises(JournalError, match=f"so the run stops; make room, then: simplicity runbook resume {RUN}"):
        closed.append(event(Kind.BEGUN, "first"))
    path = journal.directory / JOURNAL
    path.rename(path.with_suffix(".away"))
    path.symlink_to(path.with_suffix(".away"))
    with pytest.raises(JournalError, match="cannot be written"):
        Journal.open(tmp_path, RUN)


def test_a_full_disk_stops_the_run_with_what_to_do(tmp_path: Path) -> None:
    full = Journal(tmp_path, [], os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(JournalError, match="No space left on device"):
        full.append(event(Kind.BEGUN, "first"))
    full.close()


def test_half_a_line_written_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(tmp_path, RUN)
    monkeypatch.setattr(os, "write", lambda *_: 3)
    with pytest.raises(JournalError, match="the disk is full"):
        journal.append(event(Kind.BEGUN, "first"))
    journal.close()


def test_facts_that_are_no_json_reach_no_journal(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, RUN)
    with pytest.raises(ValueError, match="JSON compliant"):
        journal.append(event(Kind.ACTED, "first", facts={"a": float("nan")}))
    journal.close()
    assert (tmp_path / RUN / JOURNAL).read_bytes() == b""
    assert list(all_runs(tmp_path)) == [], "one without a line never began"


def test_lines_are_plain_json_that_other_tools_read(tmp_path: Path) -> None:
    _filled(tmp_path, event(Kind.FAILED, "first", why="broken", undo=False))
    lines = [json.loads(line) for line in (tmp_path / RUN / JOURNAL).read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["opened", "failed"]
    assert lines[0]["arguments"] == {"service": "api-1"}
    assert lines[1].keys() == {"id", "at", "kind", "step", "why", "undo"}


@pytest.mark.parametrize(
    ("events", "standing", "step"),
    [
        ([], Standing.UNFINISHED, ""),
        ([event(Kind.BEGUN, "a")], Standing.UNFINISHED, "a"),
        ([event(Kind.BEGUN, "a"), event(Kind.FAILED, "a", why="x", undo=False)], Standing.FAILED, "a"),
        ([event(Kind.BEGUN, "a"), event(Kind.FAILED, "a", why="x", undo=True)], Standing.TURNED_BACK, "a"),
        ([event(Kind.BEGUN, "a"), event(Kind.FAILED, "", why="x", undo=False)], Standing.FAILED, ""),
        ([event(Kind.TURNED), event(Kind.UNDOING, "a"), event(Kind.STUCK, "a", why="x")], Standing.STUCK, "a"),
        ([event(Kind.TURNED), event(Kind.STUCK, "a", why="x"), event(Kind.RESUMED)], Standing.TURNED_BACK, "a"),
        ([event(Kind.FAILED, "a", why="x", undo=False), event(Kind.RESUMED)], Standing.UNFINISHED, "a"),
        ([event(Kind.VERIFIED, title="x", seen="y"), event(Kind.ENDED, result="done")], Standing.DONE, ""),
        ([event(Kind.TURNED), event(Kind.ENDED, result="undone", left=["a"])], Standing.UNDONE, ""),
        ([event(Kind.ENDED, result="closed", why="by hand")], Standing.CLOSED, ""),
    ],
)
def test_how_a_run_stands_follows_from_its_lines(events: list[Event], standing: Standing, step: str) -> None:
    run = fold(RUN, [opened(), *events])
    assert (run.standing, run.step, run.target) == (standing, step, "api-1")
    assert run.sentence.startswith(f"run {RUN} on local/api-1 is {standing}")


def test_facts_of_later_acts_go_over_those_of_earlier_ones_and_failures_are_counted() -> None:
    run = fold(
        RUN,
        [
            event(Kind.ACTED, "a", facts={"x": 1, "y": 1}),
            event(Kind.FAILED, "a", why="once", undo=False),
            event(Kind.FAILED, "a", why="twice", undo=False),
            event(Kind.ACTED, "b", facts={"y": 2}),
            event(Kind.STUCK, "b", why="thrice"),
        ],
    )
    assert run.facts == {"x": 1, "y": 2}
    assert [(state.failures, state.undo_failures) for state in run.steps.values()] == [(2, 0), (0, 1)]
