"""What a killed deployment left is put right before the next one begins: nobody has to know how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.deploy.books.release import TARGET
from runbooks.engine.journal import all_runs
from runbooks.engine.lock import in_the_way
from runbooks.engine.registry import runbook
from runbooks.engine.run import RunError, resume, take_back

if TYPE_CHECKING:
    from runbooks.engine.run import Place
    from runbooks.engine.state import Run


def left(place: Place) -> Run | None:
    """Return a deployment that was left unfinished."""
    found = in_the_way(all_runs(place.runs), place.environment.name, TARGET)
    return found if found is not None and found.target == TARGET else None


def heal(place: Place, wanted: str = "") -> Run | None:
    """Put right what was left, and return how that run stands now; None where nothing was.

    A deployment of the release that is `wanted` goes on; any other is taken back: traffic first, to the colour that was
    live before it. A roll back that had begun goes on, as nobody rolls back what is good. Raises RunError where it
    cannot be put right, and what the engine raises.
    """
    found = left(place)
    if found is None:
        return None
    book = runbook(found.runbook)
    same = bool(wanted) and found.arguments.get("release") == wanted
    goes_on = found.turned_back or book.name != "deploy-release" or same
    place.teller.say(f"{found.sentence}: it is {'gone on with' if goes_on else 'taken back'} first")
    ended = resume(book, found, place) if goes_on else take_back(book, found, place)
    if not ended.is_over:
        raise RunError(
            f"{ended.sentence}; put it right, then repeat, or: simplicity runbook close {ended.id} --why TEXT"
        )
    return ended
