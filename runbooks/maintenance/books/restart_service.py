"""Restart one service of the local envelope, and see that it is healthy by a process that is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbooks.drivers.of_run import drive, services
from runbooks.engine.model import Look, Parameter, Runbook, Step, Unmet
from runbooks.maintenance.looking import CHECKED_BY, is_healthy, see_health, see_services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.engine.model import Context, Json


def _service(text: str) -> Json:
    from infra.local.component import components  # noqa: PLC0415 - a page is shown without the envelope's packages

    there = [component.name for component in components()]
    if text not in there:
        raise ValueError(f"has to be one of {', '.join(there)}")
    return text


def _restart(context: Context) -> Mapping[str, Json]:
    """Restart by an operation of this step's key: whoever comes after a killed process goes on with the same one."""
    service = str(context.arguments["service"])
    result: dict[str, Any] = dict(drive(context, "restart", service, context.key).result)
    before, after = result["before"][service], result["after"][service]
    context.record("service.restart", f"{service} on {context.environment.name}", before=before, after=after)
    return {"pid_before": before, "pid_after": after}


def _is_back(context: Context) -> str:
    service = str(context.arguments["service"])
    (found,) = [one for one in services(context) if one.name == service]
    if "pid_after" not in context.facts:
        raise Unmet(f"{service} has not been restarted yet")
    if found.state != "running" or found.pid == context.facts["pid_before"]:
        raise Unmet(f"{service} is {found.state} with pid {found.pid}: {found.detail}")
    return f"{service} runs with pid {found.pid} (before: {context.facts['pid_before']}): {found.detail}"


def _is_healthy(context: Context) -> str:
    service = str(context.arguments["service"])
    if service not in CHECKED_BY:
        return f"{service} has no check of its own: its probe stands for it"
    return is_healthy(context, CHECKED_BY[service])


RUNBOOK = Runbook(
    name="restart-service",
    title="Restart a service of the local envelope",
    meaning="A service runs but does not do its work: it hangs, answers wrongly, or has to read its settings anew.",
    impact="While it restarts, what it does is not done. An API process hands its work to the other one and nobody "
    "notices; without PostgreSQL the API answers what it has kept; without sync the tip stands still.",
    diagnosis=(
        Look(title="How the services are", see=see_services, by_hand="`simplicity status`"),
        Look(title="What each says of itself", see=see_health, by_hand="`simplicity maintenance health`"),
    ),
    steps=(
        Step(
            name="restart",
            title="Stop the service and start it again",
            asserts="it runs by a process that is new, and its own probe says that it is ready",
            act=_restart,
            check=_is_back,
            within=180.0,
            by_hand="`simplicity restart SERVICE`, then `simplicity status`: another pid, and `running`",
        ),
    ),
    verify=(
        Look(
            title="The environment's own check of the service is healthy",
            see=_is_healthy,
            by_hand="`simplicity maintenance health`",
            within=60.0,
        ),
    ),
    undo="There is nothing to take back: a restart changes no data. Where the service does not come back, "
    "`simplicity logs SERVICE` says why; put that right, then `simplicity runbook resume`.",
    parameters=(
        Parameter(name="service", help="Which one; `simplicity status` names them.", parse=_service, example="api-1"),
    ),
    target=lambda arguments: str(arguments["service"]),
)
