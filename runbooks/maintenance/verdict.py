"""What a check comes to, and what checks have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from infra.environment import Environment

REQUEST_SECONDS = 1.5


class Health(StrEnum):
    """How a component is, best first."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a component is, why, what to do about it ("" when healthy), and what was seen (no secrets)."""

    health: Health
    detail: str
    hint: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def unhealthy(detail: str, hint: str) -> Verdict:
    """Return the verdict on a component that does not do its work."""
    return Verdict(Health.UNHEALTHY, detail, hint)


def see_logs(environment: Environment, component: str, role: str) -> str:
    """Say where to look: on the machines that the document names for a role; a component's own name is no role."""
    if environment.place == "local":
        return f"`simplicity logs {component}` tells why; `simplicity up` starts what is missing"
    where = ", ".join(host.name for host in environment.hosts.get(role, ()))
    return f"look at the logs of {component}{' on ' if where else ''}{where}"


def get(url: str) -> httpx2.Response:
    """Get a page; raises httpx2.HTTPError, for an error status too."""
    # trust_env off: a proxy for the outer world must not stand between us and what is checked.
    return httpx2.get(url, timeout=REQUEST_SECONDS, trust_env=False).raise_for_status()


def metric(text: str, series: str) -> float:
    """Return the value of a series in Prometheus' text format; raises ValueError when it is not there."""
    found = re.search(rf"^{re.escape(series)} (\S+)", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {series} in the metrics")
    return float(found[1])


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its name when it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
