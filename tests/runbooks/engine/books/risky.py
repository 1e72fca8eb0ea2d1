"""Runbooks that destroy something, and one that knows when it is not wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.engine.arguments import one_of
from runbooks.engine.model import Halt, Look, Parameter
from tests.runbooks.engine.support import book, step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.engine.model import Context, Json


def _measure(_: Context) -> Mapping[str, Json]:
    return {"size": 7}


def _lost(_: Context) -> None:
    raise Halt("something earlier is missing")


def _destroy(context: Context) -> None:
    (context.folder / "destroyed").touch()


def _not_wanted(_: Context) -> str:
    raise Halt("nothing is wrong here; leave it alone")


RUNBOOKS = (
    book(
        step("measure", act=_measure, check=lambda context: f"{context.facts['size']} bytes", reads_only=True),
        step("destroy", act=_destroy, destroys=True, spares=lambda arguments: arguments["wanted"] == "no"),
        name="risky",
        parameters=(Parameter(name="wanted", help="Whether.", parse=one_of("yes", "no"), example="no", default="yes"),),
    ),
    book(step("lost", act=_lost, reads_only=True), name="unsure", on_failure="undo"),
    book(diagnosis=(Look(title="Is it this", see=_not_wanted),), name="unwanted"),
)
