"""The drivers that a runbook's step uses: their operations lie in the run's own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from runbooks.engine.model import Halt

if TYPE_CHECKING:
    from runbooks.drivers.protocols import Operation, ServiceControl, ServiceState
    from runbooks.engine.model import Context


def service_control(context: Context) -> ServiceControl:
    """Return who starts and stops services in the run's environment. Raises Halt where nobody does."""
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - a page is shown without the envelope's packages
    from runbooks.drivers.select import Drivers  # noqa: PLC0415 - as above

    try:
        return Drivers.for_environment(context.environment, context.folder / "operations").service_control
    except Refusal as error:
        raise Halt(str(error)) from None


def services(context: Context) -> list[ServiceState]:
    """Return every service as it is. Raises Halt where nobody can tell."""
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as in service_control()

    try:
        return service_control(context).services()
    except Refusal as error:
        raise Halt(str(error)) from None


def drive(context: Context, action: Literal["start", "stop", "restart"], name: str, key: str) -> Operation:
    """Start, stop or restart a service or a group by the operation `key`, or go on with it, and return how it ended.

    Raises Halt where it did not come to that, or not in the step's time.
    """
    from runbooks.drivers.operations import wait  # noqa: PLC0415 - as in service_control()
    from runbooks.drivers.protocols import Phase, Refusal  # noqa: PLC0415 - as above

    control = service_control(context)
    begin = {"start": control.start, "stop": control.stop, "restart": control.restart}[action]
    try:
        begin(key, name)
        done = wait(control, key, context.remaining(), tell=lambda operation: context.say(operation.detail))
    except Refusal as error:
        raise Halt(str(error)) from None
    if done.phase is not Phase.DONE:
        raise Halt(f"cannot {action} {name}: {done.detail}")
    return done
