"""A runbook whose step does what its argument says, and whose undo works."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runbooks.engine.arguments import one_of
from runbooks.engine.model import Halt, Parameter
from tests.runbooks.engine.support import book, step

if TYPE_CHECKING:
    from runbooks.engine.model import Context


def _act(context: Context) -> None:
    how = context.arguments["how"]
    (context.folder / "begun").touch()
    context.progress(1, 2, "[bold]halves")
    if how == "fails":
        raise Halt("it is [red]broken\x1b[31m; mend it")
    if how == "hangs" and not context.again:
        time.sleep(60)
    (context.folder / "whole").touch()


def _check(context: Context) -> str:
    if not (context.folder / "whole").exists():
        raise Halt("it is not whole")
    return "whole"


def _undo(context: Context) -> None:
    (context.folder / "whole").unlink(missing_ok=True)


RUNBOOK = book(
    step("only", act=_act, check=_check, undo=_undo, undo_title="Take it back", within=30.0),
    name="steady",
    parameters=(
        Parameter(
            name="how", help="How it goes", parse=one_of("well", "fails", "hangs"), example="well", default="well"
        ),
    ),
)
