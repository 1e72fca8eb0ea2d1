"""`python -m tests.prove.observability` (`make prove-dashboards`): is each line seen to work?"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated

import typer

from alerts import rulebook
from tests.alerts.sides import sides
from tests.mutate import examine
from tests.prove.backups.figures import Figures, show
from tests.prove.observability import live
from tests.prove.observability.drills import DRILLS
from tests.prove.observability.rehearsal import all_panels, rehearse
from tests.prove.observability.stage import stage

if TYPE_CHECKING:
    from tests.prove.observability.drills import Drill
    from tests.prove.observability.rehearsal import Pass

LEAST_ALERTS = 10
APART = "SIMPLICITY_PROOF_IS_APART"
# Without job control a shell's background child ignores Ctrl-C: the envelope would stay up.
FIRST = '''set -m
trap 'kill -INT "$child"' INT TERM
"$@" & child=$!; set +m
while wait "$child"; code=$?; kill -0 "$child" 2> /dev/null; do :; done
exit "$code"'''


def main(
    only: Annotated[list[str] | None, typer.Option(help="Only this fault or load, by its name.")] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A dozen faults, no panels: some minutes.")] = False,
) -> None:
    """Put real faults on a real envelope: alerts fire, are delivered and resolve; panels move and come back.

    Exit code 0: all of it holds; 1: something does not; 2: wrong options.

    Examples:
    make prove-dashboards

    make prove-dashboards ARGS=--quick

    make prove-dashboards ARGS="--only cache-stopped --only reorg"
    """
    unknown = sorted(set(only or ()) - {drill.name for drill in DRILLS})
    if unknown:
        typer.echo(f"there is no fault {unknown[0]}; there are {', '.join(drill.name for drill in DRILLS)}", err=True)
        raise typer.Exit(2)
    chosen = tuple(d for d in DRILLS if (d.name in only if only else d.quick or not quick))
    began = time.monotonic()
    figures = Figures()
    with stage() as here:
        found = rehearse(here, chosen, with_panels=not quick)
        dead = live.dead(here, found.began, time.time()) if not quick else None
    whole = not (quick or only)
    if whole:
        _note_rules(figures)
    _note(figures, found, chosen, dead, whole=whole)
    show(figures.lines)
    good = sum(line.holds for line in figures.lines)
    typer.echo(f"{good} of {len(figures.lines)} hold; {time.monotonic() - began:.0f} s")
    if output is not None:
        output.write_text(json.dumps(figures.as_dicts(), indent=2) + "\n", encoding="utf-8")
    raise typer.Exit(0 if figures.hold else 1)


def _apart() -> None:
    """Go on in namespaces of our own: however we end, no process is left, and nobody else ever sees the small disk.

    Of processes too, since the node exporter asks process 1 what is mounted. That is a shell here: it buries orphans.
    """
    if APART in os.environ:
        return
    become = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    spaces = ["unshare", *become, "--mount", "--pid", "--fork", "--kill-child=TERM", "--mount-proc"]
    first = ["bash", "-c", FIRST, "first"]
    command = [*spaces, *first, sys.executable, "-m", "tests.prove.observability", *sys.argv[1:]]
    os.execvpe(command[0], command, os.environ | {APART: "1"})  # noqa: S606 - fixed programs, and our own arguments


def _note_rules(figures: Figures) -> None:
    rules = rulebook.alerts()
    both = sum(all(sides(rule)) for rule in rules)
    figures.count("rules with a case that fires and one that is silent", both, len(rules))
    found = examine.examine(examine.names())
    killed = len(found.result.killed)
    figures.count("mutants of the rules that a case notices", killed, killed + len(found.result.survivors))
    amiss = ", ".join([*found.few, *found.unmissed, *found.readers])
    what = "alerts with fewer than five mutants, or whose cases nobody would miss"
    figures.add(what, amiss or "none", "none", holds=not amiss)


def _note(figures: Figures, found: Pass, chosen: tuple[Drill, ...], dead: list[str] | None, *, whole: bool) -> None:
    raised = ", ".join(sorted(found.raised_in_quiet)) or "none"
    what = f"alerts that healthy load raises in {found.quiet_seconds:.0f} s, twice the longest window"
    figures.add(what, raised, "none", holds=not found.raised_in_quiet)
    for broken in found.broken:
        figures.add("a drill broke off", broken, "none", holds=False)
    for seen in found.alerts:
        times = (seen.fired, seen.delivered, seen.resolved)
        fired, delivered, resolved = ("never" if each is None else f"{each:.1f} s" for each in times)
        hidden = "hidden by a worse one" if seen.inhibited else "NOT hidden"
        told = f"fired {fired}, {hidden}" if seen.hidden else f"fired {fired}, delivered {delivered}; "
        told += "" if seen.hidden else f"resolved {resolved} after: {seen.text}"
        figures.add(
            f"{seen.alert} by {seen.drill}", told, "fired and hidden" if seen.hidden else "all three", holds=seen.holds
        )
    proven = {seen.alert for seen in found.alerts if seen.holds and not seen.hidden}
    least = LEAST_ALERTS if len(chosen) >= LEAST_ALERTS else 1
    figures.add(
        "alerts fired by real faults and resolved", len(proven), f"at least {least}", holds=len(proven) >= least
    )
    if dead is None:
        return
    verdicts = [trial.verdict for trial in found.trials]
    for verdict in (each for each in verdicts if not each.holds):
        what = f"panel {verdict.uid}: {verdict.panel.title} by {verdict.panel.witness}"
        figures.add(what, verdict.said, "filled, moved, returned", holds=False)
    of = all_panels() if whole else len(verdicts)
    figures.count("panels filled, moved by their witness and back", sum(each.holds for each in verdicts), of)
    if whole:
        figures.add("metrics that rules or panels name and no target has", dead or "none", "none", holds=not dead)


if __name__ == "__main__":
    _apart()
    typer.run(main)
