"""What a person sees of the envelope: progress while it starts, then the table."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from rich.markup import escape
from rich.table import Table

from infra.local import logs
from infra.local.component import components
from infra.local.components import haproxy, operations

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.status import Status

    from infra.local.bring_up import Outcome
    from infra.local.state import Picture

LAST_LINES = 8
NAME_WIDTH = 19  # the longest name of a component
STYLES = {"running": "green", "not ready": "yellow", "starting": "yellow", "backoff": "yellow"}


class Progress:
    """Tells how `up` gets on: a live line on a terminal, plain lines elsewhere, nothing when `quiet`."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console = console
        self.quiet = quiet
        self.at: dict[str, str] = {}
        self.status: Status | None = None
        if console.is_terminal and not quiet:
            self.status = console.status("starting")

    def __enter__(self) -> Self:
        if self.status:
            self.status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.status:
            self.status.stop()

    def note(self, text: str) -> None:
        """Show a step of the whole envelope."""
        if self.status:
            self.status.update(escape(text))
        elif not self.quiet:
            self.console.print(text, highlight=False, markup=False)

    def waiting(self, name: str, detail: str) -> None:
        """Show that a component is not ready yet."""
        self.at[name] = detail
        if self.status:
            # What a component says is no markup: "[/data]" would end `up` with an error.
            self.status.update(escape(", ".join(f"{who}: {what}" for who, what in self.at.items())))

    def ready(self, name: str, seconds: float, detail: str) -> None:
        """Show that a component answers."""
        self.at.pop(name, None)
        if not self.quiet:
            self.console.print(
                f"  ready   {name:<{NAME_WIDTH}} {seconds:5.1f} s  {detail}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    def failed(self, name: str, reason: str) -> None:
        """Show that a component does not become ready."""
        self.at.pop(name, None)
        if not self.quiet:
            self.console.print(
                f"  failed  {name:<{NAME_WIDTH}}        {reason}",
                highlight=False,
                markup=False,
                style="red",
                soft_wrap=True,
            )


def table(picture: Picture) -> Table:
    """Return the components as a table."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("component", "state", "pid", "where"):
        made.add_column(heading, overflow="fold", no_wrap=heading != "where")
    for row in picture.rows:
        style = STYLES.get(row.state, "red")
        made.add_row(row.component, f"[{style}]{row.state}[/]", str(row.pid or "-"), row.url)
    return made


def show_picture(console: Console, picture: Picture, *, advice: bool = True) -> None:
    """Print the table, the tip, and with `advice` what to do about each component that does not run."""
    console.print(table(picture))
    console.print(f"\napi         {picture.api}  (documentation: {picture.api}/docs)", highlight=False, soft_wrap=True)
    if picture.tip:
        tip = picture.tip
        console.print(
            f"tip height  {tip.height}  (node {tip.node_height}; last operation in {tip.last_operation or 'none'})"
            f"\nstate hash  {tip.state_hash}",
            highlight=False,
        )
    else:
        console.print("tip height  none yet: no block is indexed", highlight=False)
    for row in picture.rows:
        if advice and row.state != "running":
            console.print(
                f"\n{row.component}: {row.detail}\n  {row.hint}", highlight=False, markup=False, soft_wrap=True
            )


def as_json(picture: Picture, **more: Any) -> str:  # noqa: ANN401 - whatever JSON can carry
    """Return the picture as a JSON object, with further members."""
    return json.dumps(asdict(picture) | more, indent=2)


def times(outcome: Outcome, seconds: float, *, warm: bool) -> str:
    """Return the line that says how long `up` took, or that it had nothing to do."""
    if not outcome.started:
        return f"stopped     {', '.join(outcome.removed)}" if outcome.removed else "already up: nothing changed"
    setup = os.environ.get("SIMPLICITY_SETUP_SECONDS")
    before = f"set-up {setup} s, " if setup else ""
    return f"times       {before}start {seconds:.1f} s ({'warm' if warm else 'cold: first start'})"


def closing_words(console: Console, log: Path, outcome: Outcome, last: str) -> None:
    """Print what failed, with the last words of its log; or the line `last` and what to try next."""
    for name, reason in outcome.failed.items():
        # One that was not even begun says all in its reason; its log would be of another day.
        lines = logs.last(log / f"{name}.log", LAST_LINES) if name in outcome.began else []
        console.print(f"\n{name} is not up: {reason}", style="red", highlight=False, markup=False, soft_wrap=True)
        for line in lines:
            console.print(f"  | {line}", highlight=False, markup=False, soft_wrap=True)
        if name in outcome.began:
            hint = next(c.hint for c in components() if c.name == name)
            console.print(f"  {hint}", highlight=False, markup=False, soft_wrap=True)
    if outcome.failed:
        console.print("\nThe rest goes on running for a look at it; `simplicity down` stops it.", highlight=False)
        return
    if not outcome.envelope.options.traffic:
        console.print("traffic     off; `simplicity up --traffic` lets the chain grow", highlight=False)
    console.print(last, highlight=False)
    address = haproxy.base_url(outcome.envelope)
    page = operations.base_url(outcome.envelope)
    console.print(f"operations  {page}  (health, alerts, budgets, dashboards)", highlight=False, soft_wrap=True)
    console.print("\ntry next", highlight=False)
    for command in (
        f"curl -s {address}/v1/indexer/brc20/list",
        f"{_called_as()} logs sync -f",
        f"{_called_as()} maintenance health",
    ):
        console.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)


def _called_as() -> str:
    """Return what a person has to type: `make up` runs the command without its folder being on the PATH."""
    return "simplicity" if shutil.which("simplicity") else os.path.relpath(sys.argv[0])
