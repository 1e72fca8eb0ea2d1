"""`simplicity infrastructure cost`: what stacks cost in a month."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.cloud.cost.estimate import Estimate

EXIT_USAGE = 2
MANY = 100  # units, from which on parts of one say nothing
NOTE = "List prices in US dollars, before tax, free tiers and discounts, of {dates}: the bill decides."
DERIVED = "{usd:,.0f} of it stands on prices that were worked out from another region's; a line has a * for it."


def cost(
    stack: Annotated[str | None, typer.Argument(metavar="[STACK]", help="Only this one, line by line.")] = None,
    *,
    compare: Annotated[str | None, typer.Option(metavar="OTHER", help="Beside another stack, by tier.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Estimate what stacks cost in a month, by tier: settings, list prices, and assumptions about the use.

    The prices are those of infra/cloud/cost/prices.json, with their sources; the assumptions are in
    infra/cloud/cost/usage.py. No account and no network is asked.

    Exit code 0: estimated; 2: no such stack, mistakes in its settings, or a price is missing.

    Examples: `simplicity infrastructure cost` · `simplicity infrastructure cost staging` ·
    `simplicity infrastructure cost production --compare production-eu --json`
    """
    if compare is not None and stack is None:
        _fail("--compare needs a stack to compare with: `simplicity infrastructure cost STACK --compare OTHER`")
    found = _estimates(stack, compare)
    if as_json:
        typer.echo(json.dumps(as_object(found), indent=2))
        return
    console = Console()
    if len(found) == 1:
        console.print(_lines(next(iter(found.values()))))
    else:
        console.print(_tiers(found, difference=compare is not None))
    typer.echo(_notes(found))


def as_object(found: Mapping[str, Estimate]) -> dict[str, Any]:
    """Return estimates by the names of their stacks as one JSON object; US dollars are rounded to cents."""
    from infra.cloud.cost.prices import table  # noqa: PLC0415 - the help needs no prices

    stacks = [
        {
            "stack": name,
            "region": each.region,
            "total": round(each.total, 2),
            "most": round(each.most, 2),
            "derived": round(each.derived, 2),
            "tiers": {tier: round(usd, 2) for tier, usd in each.tiers.items()},
            "lines": [asdict(line) | {"usd": round(line.usd, 2)} for line in (*each.lines, *each.scaled)],
        }
        for name, each in found.items()
    ]
    return {"currency": table().currency, "dates": list(table().dates), "stacks": stacks}


def _estimates(stack: str | None, compare: str | None) -> dict[str, Estimate]:
    from infra.cloud.cost.estimate import estimate  # noqa: PLC0415 - the help needs no prices
    from infra.cloud.cost.prices import PriceError, table  # noqa: PLC0415 - the same
    from infra.cloud.settings import SettingsError  # noqa: PLC0415 - the same
    from infra.cloud.stacks import load, names  # noqa: PLC0415 - the same

    wanted = names() if stack is None else tuple(each for each in (stack, compare) if each is not None)
    try:
        return {name: estimate(load(name), table()) for name in wanted}
    except SettingsError as error:
        _fail(*error.lines)
    except PriceError as error:
        _fail(str(error))


def _lines(of: Estimate) -> Table:
    shown = _table("tier", "what", "quantity", "unit", "each", "USD a month")
    last = ""
    for line in of.lines:
        tier, last = ("" if line.tier == last else line.tier), line.tier
        each = f"{line.price:g}{'*' if line.is_derived else ''}"
        shown.add_row(tier, line.what, _quantity(line.quantity), line.unit, each, f"{line.usd:,.2f}")
    shown.add_row("", "[bold]total[/]", "", "", "", f"[bold]{of.total:,.2f}[/]")
    for line in of.scaled:
        each = f"{line.price:g}{'*' if line.is_derived else ''}"
        shown.add_row("scaled out", line.what, _quantity(line.quantity), line.unit, each, f"{line.usd:,.2f}")
    shown.add_row("", "at most", "", "", "", f"{of.most:,.2f}")
    return shown


def _tiers(found: Mapping[str, Estimate], *, difference: bool) -> Table:
    estimates = list(found.values())
    shown = _table("tier", *found, *(("difference",) if difference else ()))

    def row(what: str, figures: list[float]) -> None:
        more = [f"{_rounded(figures[1] - figures[0]):+,.0f}"] if difference else []
        shown.add_row(what, *(f"{usd:,.0f}" for usd in figures), *more)

    for tier in dict.fromkeys(tier for each in estimates for tier in each.tiers):
        row(tier, [each.tiers.get(tier, 0) for each in estimates])
    row("total", [each.total for each in estimates])
    row("at most", [each.most for each in estimates])
    return shown


def _quantity(number: float) -> str:
    return f"{number:,.0f}" if number >= MANY else f"{number:,.3g}"


def _rounded(usd: float) -> float:
    """Return whole dollars, and no minus before nothing."""
    return round(usd) or 0


def _table(*headings: str) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    texts = {"tier", "what", "unit"}
    for heading in headings:
        shown.add_column(heading, justify="left" if heading in texts else "right", overflow="fold")
    return shown


def _notes(found: Mapping[str, Estimate]) -> str:
    from infra.cloud.cost.prices import table  # noqa: PLC0415 - the help needs no prices

    derived = sum(each.derived for each in found.values())
    lines = [NOTE.format(dates=" and ".join(table().dates)), *([DERIVED.format(usd=derived)] if derived else [])]
    return "\n" + "\n".join(lines)


def _fail(*lines: str) -> NoReturn:
    for line in lines:
        typer.echo(line, err=True)
    raise typer.Exit(EXIT_USAGE)
