"""Alerts and silences to ask Alertmanager for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from alerts import live
from alerts.matcher import Matcher

if TYPE_CHECKING:
    from tests.alerts.delivery.servers import Server

MATCHERS = (Matcher("instance", "=", "api-1"), Matcher("alertname", "!~", "Api.*"))


def post(server: Server, name: str, severity: str = "", *, minutes: int = 5, **labels: str) -> None:
    now = datetime.now(UTC)
    server.post(
        {
            "labels": {"alertname": name, **({"severity": severity} if severity else {}), **labels},
            "annotations": {
                "summary": f"{name} is so",
                "description": "Somebody is hurt.",
                "runbook_url": f"https://docs.example.com/{name}",
                "dashboard_url": "https://docs.example.com/api",
            },
            "startsAt": (now - timedelta(minutes=minutes)).isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
        }
    )


def wanted(**changes: Any) -> live.Silence:  # noqa: ANN401 - what a silence is made of
    facts: dict[str, Any] = {"matchers": MATCHERS, "length": 7_200, "comment": "new disk", "by": "ops"}
    return live.requested(**(facts | changes))
