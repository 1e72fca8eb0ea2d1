"""Does every selector that a rule or a panel has find a series, on a target that lives?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts.model import Scale
from alerts.rulebook import groups
from dashboards.catalog import dashboards
from dashboards.metrics import interpolate, parsed, selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.prove.observability.stage import Stage


def named() -> set[str]:
    """Return the selectors of rules and panels, with their matchers and without what they are asked of."""
    return {str(_bare(selector)) for expr in _expressions() for selector in selectors(parsed(expr))}


def _expressions() -> Iterator[str]:
    real = Scale()
    for group in groups():
        yield from (real.expression(record.expr) for record in group.records)
        for alert in group.alerts:
            if "local" in alert.places:
                yield real.expression(alert.expr)
                yield from [f"absent({alert.absent})"] if alert.absent else []
    for board in dashboards():
        for query in (query for panel in board.panels for query in panel.queries):
            yield interpolate(query.expr, cluster="local", interval=60, range=3600)


def _bare(selector: object) -> str:
    """Return a selector without `offset` and `@`: what it selects is the same."""
    return str(selector).split(" offset ")[0].split(" @ ")[0]


def dead(stage: Stage, since: float, now: float) -> list[str]:
    """Return the selectors of them that have found nothing since then."""
    span = f"{int(now - since) + 1}s"
    return sorted(found for found in named() if not stage.now(f"count(last_over_time({found}[{span}]))"))
