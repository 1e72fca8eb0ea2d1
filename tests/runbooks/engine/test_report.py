"""At its end a run says what was done, what is left and how to go on; so does every run in the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runbooks.engine.journal import event
from runbooks.engine.report import exit_code, left, record, summary
from runbooks.engine.state import Kind, fold
from tests.runbooks.engine.support import book, opened, step

if TYPE_CHECKING:
    from runbooks.engine.state import Event

BOOK = book(step("first"), step("second"), step("third"))
DONE = (event(Kind.BEGUN, "first"), event(Kind.DONE, "first", seen=""), event(Kind.BEGUN, "second"))


@pytest.mark.parametrize(
    ("events", "first", "says", "remains", "code"),
    [
        (DONE, "", "done: first|left: second, third|go on: simplicity runbook resume r, or undo r", "second third", 1),
        (DONE, "second", "left: second, third", "second third", 1),
        (
            (*DONE, event(Kind.TURNED), event(Kind.UNDOING, "second"), event(Kind.UNDONE, "second")),
            "",
            "undone: second|left: first|go on: simplicity runbook resume r (undoes what is left), or close r",
            "first",
            1,
        ),
        (
            (*DONE, event(Kind.TURNED), event(Kind.ENDED, result="undone", left=["first"])),
            "",
            "left as they were: first",
            "first",
            4,
        ),
        ((*DONE, event(Kind.ENDED, result="closed", why="mended")), "", "closed by hand: mended", "", 0),
        (
            tuple(event(Kind.DONE, name, seen="") for name in ("first", "second", "third")),
            "",
            "left: verify|go on",
            "",
            1,
        ),
    ],
)
def test_a_summary_names_what_is_done_what_is_left_and_the_way_on(
    events: tuple[Event, ...], first: str, says: str, remains: str, code: int
) -> None:
    run = fold("r", [opened(first=first), *events])
    for part in says.split("|"):
        assert part in summary(run, BOOK)
    assert left(run, BOOK) == remains.split()
    assert record(run, BOOK)["left"] == remains.split()
    assert bool(record(run)["next"]) is not run.is_over
    assert exit_code(run) == code
