"""A runbook says what is wrong with itself where it is made, not when it is needed."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest

from runbooks.drivers.operations import KEY
from runbooks.engine.arguments import slug
from runbooks.engine.journal import new_run_id
from runbooks.engine.model import NAME_LIMIT, STEP_LIMIT, Context, Look, Parameter
from tests.runbooks.engine.support import book, environment, sees, step


def _parameter(**parts: Any) -> Parameter:  # noqa: ANN401 - any part of a parameter
    usual: dict[str, Any] = {"name": "service", "help": "Which", "parse": slug(), "example": "api-1"}
    return Parameter(**(usual | parts))


def test_a_whole_runbook_is_taken_and_knows_whether_it_destroys() -> None:
    assert not book(step("first"), parameters=(_parameter(),)).destroys
    assert book(step("first"), step("second", destroys=True)).destroys
    assert book(step("first", destroys=True)).destroys_with({})
    asked = book(step("first", destroys=True, spares=lambda arguments: arguments["end"] == "none"))
    assert (asked.destroys_with({"end": "none"}), asked.destroys_with({"end": "idle"})) == (False, True)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"name": "Not A Slug"}, "its name 'Not A Slug' is no slug"),
        ({"name": "a" * (NAME_LIMIT + 1)}, "is no slug of at most 40"),
        ({"meaning": " "}, "meaning is empty"),
        ({"undo": ""}, "undo is empty"),
        ({"diagnosis": ()}, "it has no diagnosis"),
        ({"verify": ()}, "it has no verify"),
        ({"verify": (Look(title=" ", see=lambda _: ""),)}, "a look without a title"),
        ({"diagnosis": (Look(title="x", see=lambda _: "", within=math.inf),)}, "with no time"),
        ({"parameters": (_parameter(), _parameter())}, "parameter service is there twice"),
        ({"parameters": (_parameter(help=""),)}, "parameter service: help or example is empty"),
    ],
)
def test_a_runbook_with_a_part_missing_or_twice_is_refused(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        book(**parts)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"title": ""}, "title is empty"),
        ({"asserts": " "}, "asserts is empty"),
        ({"within": 0.0}, "more than 0 seconds"),
        ({"within": math.inf}, "and to end"),
        ({"within": math.nan}, "more than 0 seconds"),
        ({"undo": lambda _: None}, "undo and undo_title go together"),
        ({"undo_title": "Take it back"}, "undo and undo_title go together"),
        ({"reads_only": True, "destroys": True}, "what only reads"),
        ({"spares": lambda _: True}, "spares says when nothing is destroyed"),
    ],
)
def test_a_step_with_a_part_missing_is_refused(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"step only: .*{says}"):
        book(step("only", **parts))


def test_steps_need_names_of_their_own_and_there_has_to_be_one() -> None:
    with pytest.raises(ValueError, match="step same is there twice"):
        book(step("same"), step("same"))
    with pytest.raises(ValueError, match="step 'No Slug' is no slug of at most 28"):
        book(step("No Slug"))


def test_the_longest_names_still_make_a_key_that_drivers_take() -> None:
    context = Context(
        environment=environment(),
        arguments={},
        run=new_run_id("r" * NAME_LIMIT),
        folder=Path(),
        step="s" * STEP_LIMIT,
        undoing=True,
        attempt=99,
    )
    assert KEY.fullmatch(context.key), (len(context.key), context.key)


def test_a_context_alone_shows_and_records_nothing_and_has_all_the_time() -> None:
    context = Context(environment=environment(), arguments={}, run="r", folder=Path(), step="s")
    context.say("nothing")
    context.progress(1, 2, "nothing")
    context.record("test.nothing", "nothing")
    assert (context.key, context.remaining(), context.facts) == ("r-s", math.inf, {})


def test_the_time_left_is_never_negative() -> None:
    context = Context(environment=environment(), arguments={}, run="r", folder=Path(), deadline=time.monotonic() - 5)
    assert context.remaining() == 0


def test_a_look_sees() -> None:
    context = Context(environment=environment(), arguments={}, run="r", folder=Path())
    assert sees("well").see(context) == "well"
