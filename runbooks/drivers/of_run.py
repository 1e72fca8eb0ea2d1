"""The drivers that a runbook's step uses: their operations lie in the run's own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.engine.model import Halt

if TYPE_CHECKING:
    from runbooks.drivers.protocols import ServiceControl
    from runbooks.engine.model import Context


def service_control(context: Context) -> ServiceControl:
    """Return who starts and stops services in the run's environment. Raises Halt where nobody does."""
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - a page is shown without the envelope's packages
    from runbooks.drivers.select import Drivers  # noqa: PLC0415 - as above

    try:
        return Drivers.for_environment(context.environment, context.folder / "operations").service_control
    except Refusal as error:
        raise Halt(str(error)) from None
