"""Restart components one after the other, so that those that do the same work are never all away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from infra.local.bring_up import Outcome, Starter
from infra.local.supervisor import Supervisor
from infra.local.take_down import stop_and_wait

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.local.bring_up import Report
    from infra.local.component import Component, Envelope


def restart(
    envelope: Envelope, wanted: Iterable[Component], report: Report, *, patience: float | None = None
) -> str | None:
    """Stop each component and start it as it was; return the name of the first that does not become ready again.

    Those after it are left alone. `patience` overrides each one's time to become ready, in seconds. Raises
    EnvelopeError for one that does not stop or cannot be prepared.
    """
    supervisor = Supervisor(envelope.layout)
    for component in wanted:
        report.waiting(component.name, "stopping")
        stop_and_wait(supervisor, {component.name})
        component.prepare(envelope)
        outcome = Outcome(envelope)
        # What it needs was up before, and comes back by itself.
        Starter(supervisor, report, outcome, patience).run((replace(component, needs=()),))
        if outcome.failed:
            return component.name
    return None
