"""What answers do: restart what does not answer, and put down what is seen for whoever has to decide."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

from audit.masking import masked_text
from runbooks.drivers.of_run import drive, services
from runbooks.engine.attempt import reason
from runbooks.engine.model import Halt, Parameter, Step, Unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from runbooks.drivers.protocols import ServiceState
    from runbooks.engine.model import Context, Json

AUTO, NONE = "auto", "none"
# Where the fault is another component's, that one's answer comes first.
ANSWER_OF = {"database": "answer-database-down", "node": "answer-node-down"}
RESTART_SECONDS = 300.0


def service_parameter(*scope: str, default: str = AUTO, example: str = "") -> Parameter:
    """Return the argument that names what is restarted, among the services and groups of `scope`."""

    def parse(text: str) -> Json:
        from infra.local.component import named  # noqa: PLC0415 - a page is shown without the envelope's packages

        allowed = [AUTO, NONE, *dict.fromkeys(one.name for name in scope for one in named(name))]
        if text not in allowed:
            raise ValueError(f"has to be one of {', '.join(allowed)}")
        return text

    return Parameter(
        name="service",
        help="What is restarted; auto: what does not do its work; none: nothing.",
        parse=parse,
        example=example or AUTO,
        default=default,
    )


def of_scope(context: Context, scope: Sequence[str]) -> list[ServiceState]:
    """Return the services of these names and groups. Raises Halt where nobody can tell."""
    return [one for one in services(context) if {one.name, one.group} & set(scope)]


def unwell(context: Context, scope: Sequence[str]) -> list[str]:
    """Return which services of these names and groups do not run, or do not answer."""
    return [one.name for one in of_scope(context, scope) if one.state != "running"]


def once(context: Context, name: str, decide: Callable[[], Json]) -> Any:  # noqa: ANN401 - what was decided
    """Return what this attempt of a step has decided, and decide it only the first time.

    After a kill the world has changed by what was done: deciding anew would come to something else.
    """
    path = context.folder / f"{context.key}-{name}.json"
    if not path.exists():
        _write(path, decide())
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, value: Json) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(value, indent=2, default=str) + "\n", encoding="utf-8")
    fresh.replace(path)


def require(context: Context, *checks: str) -> None:
    """Raise Halt while a component that others cannot do without is unhealthy: its own answer comes first."""
    from runbooks.maintenance.checks import checks_of  # noqa: PLC0415 - as in service_parameter()
    from runbooks.maintenance.health import examine  # noqa: PLC0415 - as above
    from runbooks.maintenance.verdict import Health  # noqa: PLC0415 - as above

    there = checks_of(context.environment)
    for found in examine(context.environment, {name: there[name] for name in checks if name in there}):
        if found.verdict.health is Health.UNHEALTHY:
            first = f"`simplicity runbook run {ANSWER_OF[found.component]}` first, then resume"
            raise Halt(f"{found.component} is unhealthy ({found.verdict.detail}): {first}")


def lasting(context: Context, scope: Sequence[str], seconds: float) -> list[str]:
    """Return which services stay unwell for so long: what has lost its database a moment ago finds it by itself."""
    deadline = time.monotonic() + min(seconds, context.remaining())
    while (found := unwell(context, scope)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def restart(context: Context, scope: Sequence[str], choose: Callable[[Context], Sequence[str]]) -> Mapping[str, Json]:
    """Restart what `choose` names, one after the other; the facts have each one's pids, before and after.

    The argument `service` names one instead; where that is not of `scope`, nothing is restarted here.
    """
    asked = str(context.arguments.get("service", AUTO))
    names = once(context, "chosen", lambda: _names(context, asked, scope, choose))
    pids: dict[str, Json] = {}
    for name in names:
        result: dict[str, Any] = dict(drive(context, "restart", name, f"{context.key}-{name}").result)
        pids[name] = {"before": result["before"][name], "after": result["after"][name]}
        context.record("service.restart", f"{name} on {context.environment.name}", after=pids[name])
    return {context.step: pids}


def _names(context: Context, asked: str, scope: Sequence[str], choose: Callable[[Context], Sequence[str]]) -> list[str]:
    if asked == AUTO:
        return list(choose(context))
    return [one.name for one in of_scope(context, scope) if one.name == asked]


def is_restarted(context: Context) -> str:
    """Say that each runs by a process that is new. Raises Unmet while one does not."""
    if context.step not in context.facts:
        raise Unmet("nothing has been restarted yet")
    pids: Any = context.facts[context.step]
    if not pids:
        return "nothing had to be restarted: what is there runs and answers, or nothing was to be restarted"
    states = {one.name: one for one in services(context)}
    for name, each in pids.items():
        found = states[name]
        if found.state != "running" or found.pid == each["before"]:
            raise Unmet(f"{name} is {found.state} with pid {found.pid}: {found.detail}")
    return ", ".join(f"{name} runs with pid {each['after']} (before: {each['before']})" for name, each in pids.items())


def restart_step(
    *scope: str,
    choose: Callable[[Context], Sequence[str]] | None = None,
    needs: Sequence[str] = (),
    what: str = "what does not answer",
    name: str = "restart",
    within: float = RESTART_SECONDS,
) -> Step:
    """Return the step that restarts what of `scope` does not answer, or what `choose` finds.

    It stops while a component of `needs` is unhealthy: a restart would not help, and would hide where the fault is.
    """

    def act(context: Context) -> Mapping[str, Json]:
        require(context, *needs)
        return restart(context, scope, choose or (lambda at: unwell(at, scope)))

    return Step(
        name=name,
        title=f"Restart {what} ({', '.join(scope)})",
        asserts="each of them runs by a process that is new, and its own probe says that it is ready",
        act=act,
        check=is_restarted,
        within=within,
        by_hand="`simplicity status`, then for what is not `running`: `simplicity restart SERVICE`",
    )


def evidence_step(parts: Mapping[str, Callable[[Context], Json]], decide: str, by_hand: str) -> Step:
    """Return the step that puts down what is seen, in `evidence.json` of the run's folder; `decide` is a decision.

    What cannot be seen is put down as that: evidence is gathered of what is broken.
    """

    def act(context: Context) -> Mapping[str, Json]:
        found = {name: _gathered(gather, context) for name, gather in parts.items()}
        path = context.folder / "evidence.json"
        _write(path, found)
        for name, each in found.items():
            context.say(f"  {name}: {json.dumps(each, default=str)[:400]}")
        return {"evidence": str(path)}

    def check(context: Context) -> str:
        return f"{context.facts['evidence']}; decide: {decide}"

    return Step(
        name="evidence",
        title=f"Keep what is seen: {', '.join(parts)}",
        asserts=f"`evidence.json` is in the run's folder. Decide by it: {decide}",
        act=act,
        check=check,
        within=120.0,
        by_hand=by_hand,
        reads_only=True,
    )


def _gathered(gather: Callable[[Context], Json], context: Context) -> Json:
    try:
        found: Json = _plain(gather(context))
    except Exception as error:  # noqa: BLE001 - see evidence_step(): a part that breaks is a finding
        return {"cannot be told": reason(error)}
    return found


def _plain(value: Any) -> Any:  # noqa: ANN401 - a value of JSON
    """Return a value as JSON has it, which knows no NaN and no infinity, and without what looks like a secret."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def metrics(**expressions: str) -> Callable[[Context], Json]:
    """Return a part of the evidence: what these expressions come to now, the largest values first."""

    def gather(context: Context) -> Json:
        from runbooks.response.prometheus import ask  # noqa: PLC0415 - as in service_parameter()

        found: dict[str, Json] = {}
        for name, expression in expressions.items():
            samples = sorted(ask(context.environment, expression), key=lambda each: -each.value)[:20]
            found[name] = [{**each.labels, "value": each.value} for each in samples]
        return found

    return gather


def health(context: Context) -> Json:
    """Return a part of the evidence: what each component's check comes to."""
    from runbooks.maintenance.health import examine  # noqa: PLC0415 - as in service_parameter()

    return {
        found.component: f"{found.verdict.health}: {found.verdict.detail}" for found in examine(context.environment)
    }
