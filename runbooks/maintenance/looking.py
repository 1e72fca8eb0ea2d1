"""What runbooks look at: the services, and what the environment's own checks say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.drivers.of_run import services
from runbooks.engine.model import Unmet

if TYPE_CHECKING:
    from runbooks.engine.model import Context

# Which check of `simplicity maintenance health` looks at a service; one without is looked at by its own probe alone.
CHECKED_BY = {
    "postgresql": "database",
    "bitcoin-node": "node",
    "sync": "sync",
    "api-1": "api",
    "api-2": "api",
    "haproxy": "balancer",
    "valkey": "cache",
    "prometheus": "prometheus",
    "alertmanager": "alerting",
}


def see_services(context: Context) -> str:
    """Say how every service is. Raises Halt where nobody can tell."""
    return "".join(f"\n  {one.name}: {one.state}, pid {one.pid}, {one.detail}" for one in services(context))


def see_health(context: Context) -> str:
    """Say what each component's check comes to."""
    from runbooks.maintenance.health import examine  # noqa: PLC0415 - a page is shown without the envelope's packages

    return "".join(
        f"\n  {found.component}: {found.verdict.health}, {found.verdict.detail}"
        for found in examine(context.environment)
    )


def is_healthy(context: Context, check: str) -> str:
    """Say that a check of the environment comes to healthy. Raises Unmet where it does not."""
    from runbooks.maintenance.checks import checks_of  # noqa: PLC0415 - as in see_health()
    from runbooks.maintenance.health import examine  # noqa: PLC0415 - as above
    from runbooks.maintenance.verdict import Health  # noqa: PLC0415 - as above

    checks = checks_of(context.environment)
    if check not in checks:
        return f"{context.environment.name} has no {check}"
    (found,) = examine(context.environment, {check: checks[check]})
    if found.verdict.health is not Health.HEALTHY:
        raise Unmet(f"{check} is {found.verdict.health}: {found.verdict.detail}")
    return f"{check} is healthy: {found.verdict.detail}"
