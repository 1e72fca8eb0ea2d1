"""The drivers of a run's environment, and what they say: a refusal stops a run before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.engine.model import Halt

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbooks.drivers.protocols import Driver, Member, Operation
    from runbooks.drivers.select import Drivers
    from runbooks.engine.model import Context


def drivers(context: Context) -> Drivers:
    """Return the drivers of the run's environment; their operations lie in the run's folder. Raises Halt."""
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - a page is shown without what drivers need
    from runbooks.drivers.select import Drivers  # noqa: PLC0415 - as above

    try:
        return Drivers.for_environment(context.environment, context.folder / "operations")
    except Refusal as error:
        raise Halt(str(error)) from None


def members(context: Context) -> list[Member]:
    """Return the members of the database, the primary first. Raises Halt where nobody can tell."""
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above

    try:
        return drivers(context).failover.members()
    except Refusal as error:
        raise Halt(str(error)) from None


def in_words(found: list[Member]) -> str:
    """Return members as one line."""
    return ", ".join(f"{each.name} {each.role}" + (f" {each.lag} bytes behind" if each.lag else "") for each in found)


def drive(context: Context, driver: Driver, begin: Callable[[], Operation]) -> Operation:
    """Begin an operation of the step's key, or go on with it, until it is done. Raises Halt where it fails."""
    from runbooks.drivers.operations import wait  # noqa: PLC0415 - as above
    from runbooks.drivers.protocols import Phase, Refusal  # noqa: PLC0415 - as above

    try:
        begin()
        done = wait(driver, context.key, context.remaining(), tell=lambda operation: context.say(operation.detail))
    except Refusal as error:
        raise Halt(str(error)) from None
    if done.phase is not Phase.DONE:
        raise Halt(done.detail)
    return done
