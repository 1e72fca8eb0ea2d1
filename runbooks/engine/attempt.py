"""One act, check, look or undo of a run: called within its time, and every way to fail made one line."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from audit.masking import masked_text
from runbooks.engine.limit import TimeUp, limited
from runbooks.engine.model import Halt, Unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runbooks.engine.model import Context, Json, Look, Step

# How often an assertion is asked: soon at first, then no more than it is worth.
FIRST_PAUSE, LAST_PAUSE = 0.02, 1.0
# How long a step that was left is asked whether it holds already.
ASK_SECONDS = 30.0
REASON_LIMIT = 500


class Failure(Exception):  # noqa: N818 - what a step came to
    """Why a step failed: one line."""


def reason(error: BaseException) -> str:
    """Return what an error says as one line, with its type where it is not ours."""
    # What a library says may hold an address with its password.
    line = " ".join(masked_text(str(error)).split())[:REASON_LIMIT]
    if isinstance(error, Halt | Unmet):
        return line or "it does not say why"
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def act(step: Step, context: Context) -> Mapping[str, Json]:
    """Return the facts of an act. Raises Failure."""
    try:
        given: Mapping[str, Json] | None = limited(context.remaining(), lambda: step.act(context))
        facts = dict(given or {})
        json.dumps(facts, allow_nan=False)
    except TimeUp:
        raise Failure(f"its act was not over within {step.within:g} s") from None
    except (Exception, SystemExit) as error:
        raise Failure(reason(error)) from error
    return facts


def until(check: Callable[[Context], str], context: Context, within: float) -> str:
    """Ask a check until it holds and return what was seen; raises Failure when the context's time is over."""
    missing, pause = "its check has not answered", FIRST_PAUSE
    while context.remaining() > 0:
        try:
            return limited(context.remaining(), lambda: check(context))
        except TimeUp:
            break
        except Unmet as error:
            missing = reason(error)
        except (Exception, SystemExit) as error:
            raise Failure(reason(error)) from error
        time.sleep(min(pause, context.remaining()))
        pause = min(pause * 1.5, LAST_PAUSE)
    raise Failure(f"not within {within:g} s: {missing}")


def holds(step: Step, context: Context) -> str | None:
    """Ask the check of a step that was left, once; None where it does not hold or cannot tell."""
    # A check may miss the facts of an act that was cut off, and fail by that: then too the act has to run again.
    with suppress(TimeUp, Exception, SystemExit):
        return limited(min(ASK_SECONDS, step.within), lambda: step.check(context))
    return None


def undo(take_back: Callable[[Context], None], context: Context, within: float) -> None:
    """Undo a step. Raises Failure."""
    try:
        limited(context.remaining(), lambda: take_back(context))
    except TimeUp:
        raise Failure(f"was not over within {within:g} s") from None
    except (Exception, SystemExit) as error:
        raise Failure(reason(error)) from error


def look(each: Look, context: Context) -> tuple[str, bool]:
    """Return what a look of a diagnosis saw, and whether it stops the run; what it cannot see is seen as that."""
    try:
        return limited(each.within, lambda: each.see(context)), False
    except TimeUp:
        return f"cannot be told: no answer within {each.within:g} s", False
    except Halt as error:
        return reason(error), True
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a diagnosis of what is broken is full of errors
        return f"cannot be told: {reason(error)}", False
