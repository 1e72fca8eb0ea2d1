"""Run all checks at once and be done in time, whatever hangs."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.environment import EnvironmentFileError
from runbooks.maintenance.checks import checks_of
from runbooks.maintenance.verdict import Health, Verdict, unhealthy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.environment import Environment

# With Python's start this stays below the promised five seconds.
DEADLINE_SECONDS = 3.0
ORDER = list(Health)


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one component, and how long it took to reach."""

    component: str
    verdict: Verdict
    latency_ms: float


def examine(
    environment: Environment,
    checks: Mapping[str, Callable[[Environment], Verdict]] | None = None,
    *,
    within: float = DEADLINE_SECONDS,
) -> list[Finding]:
    """Run checks in parallel, without any given all of the environment.

    One that has no verdict `within` so many seconds makes its component unhealthy.
    """
    checks = checks_of(environment) if checks is None else checks
    began = time.monotonic()
    answers: queue.SimpleQueue[Finding] = queue.SimpleQueue()

    def work(name: str) -> None:
        verdict = _guarded(checks[name], environment)
        answers.put(Finding(name, verdict, round((time.monotonic() - began) * 1000, 1)))

    for name in checks:
        # Daemons: a check that hangs in the kernel must not keep the command from ending.
        threading.Thread(target=work, args=(name,), daemon=True, name=f"check-{name}").start()
    found: dict[str, Finding] = {}
    while len(found) < len(checks):
        try:
            finding = answers.get(timeout=max(0.0, began + within - time.monotonic()))
        except queue.Empty:
            break
        found[finding.component] = finding
    late = unhealthy(f"no answer within {within:g} s", "it hangs: look at its logs, then restart it")
    return [found.get(name) or Finding(name, late, within * 1000) for name in checks]


def _guarded(check: Callable[[Environment], Verdict], environment: Environment) -> Verdict:
    try:
        return check(environment)
    except EnvironmentFileError as error:
        return unhealthy(str(error), "put the secret in place; in the local envelope `simplicity up` does")
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding about its component, not the end of all
        return unhealthy(f"the check broke: {type(error).__name__}: {error}", "report this as a bug of the check")


def overall(findings: list[Finding]) -> Health:
    """Return the worst health among the findings."""
    return max((finding.verdict.health for finding in findings), key=ORDER.index, default=Health.HEALTHY)
