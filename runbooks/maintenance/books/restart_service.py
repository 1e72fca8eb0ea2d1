"""Restart one service of the local envelope, and see that it is healthy by a process that is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbooks.drivers.of_run import service_control
from runbooks.engine.model import Halt, Look, Parameter, Runbook, Step, Unmet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.drivers.protocols import ServiceState
    from runbooks.engine.model import Context, Json

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
}


def _service(text: str) -> Json:
    from infra.local.component import components  # noqa: PLC0415 - a page is shown without the envelope's packages

    there = [component.name for component in components()]
    if text not in there:
        raise ValueError(f"has to be one of {', '.join(there)}")
    return text


def _services(context: Context) -> list[ServiceState]:
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above

    try:
        return service_control(context).services()
    except Refusal as error:
        raise Halt(str(error)) from None


def _see_services(context: Context) -> str:
    return "".join(f"\n  {one.name}: {one.state}, pid {one.pid}, {one.detail}" for one in _services(context))


def _see_health(context: Context) -> str:
    from runbooks.maintenance.health import examine  # noqa: PLC0415 - as above

    return "".join(
        f"\n  {found.component}: {found.verdict.health}, {found.verdict.detail}"
        for found in examine(context.environment)
    )


def _restart(context: Context) -> Mapping[str, Json]:
    """Restart by an operation of this step's key: whoever comes after a killed process goes on with the same one."""
    from runbooks.drivers.operations import wait  # noqa: PLC0415 - as above
    from runbooks.drivers.protocols import Phase, Refusal  # noqa: PLC0415 - as above

    control, service = service_control(context), str(context.arguments["service"])
    try:
        control.restart(context.key, service)
        done = wait(control, context.key, context.remaining(), tell=lambda operation: context.say(operation.detail))
    except Refusal as error:
        raise Halt(str(error)) from None
    if done.phase is not Phase.DONE:
        raise Halt(done.detail)
    result: dict[str, Any] = dict(done.result)
    before, after = result["before"][service], result["after"][service]
    context.record("service.restart", f"{service} on {context.environment.name}", before=before, after=after)
    return {"pid_before": before, "pid_after": after}


def _is_back(context: Context) -> str:
    service = str(context.arguments["service"])
    (found,) = [one for one in _services(context) if one.name == service]
    if "pid_after" not in context.facts:
        raise Unmet(f"{service} has not been restarted yet")
    if found.state != "running" or found.pid == context.facts["pid_before"]:
        raise Unmet(f"{service} is {found.state} with pid {found.pid}: {found.detail}")
    return f"{service} runs with pid {found.pid} (before: {context.facts['pid_before']}): {found.detail}"


def _is_healthy(context: Context) -> str:
    from runbooks.maintenance.checks import checks_of  # noqa: PLC0415 - as above
    from runbooks.maintenance.health import examine  # noqa: PLC0415 - as above
    from runbooks.maintenance.verdict import Health  # noqa: PLC0415 - as above

    service = str(context.arguments["service"])
    name, checks = CHECKED_BY.get(service), checks_of(context.environment)
    if name not in checks:
        return f"{service} has no check of its own: its probe stands for it"
    (found,) = examine(context.environment, {name: checks[name]})
    if found.verdict.health is not Health.HEALTHY:
        raise Unmet(f"{name} is {found.verdict.health}: {found.verdict.detail}")
    return f"{name} is healthy: {found.verdict.detail}"


RUNBOOK = Runbook(
    name="restart-service",
    title="Restart a service of the local envelope",
    meaning="A service runs but does not do its work: it hangs, answers wrongly, or has to read its settings anew.",
    impact="While it restarts, what it does is not done. An API process hands its work to the other one and nobody "
    "notices; without PostgreSQL the API answers what it has kept; without sync the tip stands still.",
    diagnosis=(
        Look(title="How the services are", see=_see_services, by_hand="`simplicity status`"),
        Look(title="What each says of itself", see=_see_health, by_hand="`simplicity maintenance health`"),
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
