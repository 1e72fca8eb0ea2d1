"""Whether an alert's cases look at it from both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import rulebook
from tests.alerts.catalog import cases
from tests.alerts.promtool import expectation

if TYPE_CHECKING:
    from alerts.model import Alert


def sides(alert: Alert) -> tuple[bool, bool]:
    """Return whether there is a case in which this rule fires, and one in which it is silent."""
    candidates = rulebook.named(alert.name)
    fires = [expectation(case, candidates, only=[alert]).expected for case in cases() if case.alert == alert.name]
    return any(fires), not all(fires)
