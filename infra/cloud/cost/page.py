"""The generated parts of docs/cloud.md: settings, stacks and what they cost; the rest is written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from infra.cloud import stacks
from infra.cloud.cost.estimate import estimate
from infra.cloud.cost.meaning import MEANINGS, effect, paths
from infra.cloud.cost.prices import Prices, table
from infra.cloud.cost.storing import servers
from infra.cloud.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic.fields import FieldInfo

REQUIRED = "required"
NOTHING = "–"  # noqa: RUF001 - a dash, as in all our tables


class PageError(Exception):
    """A page lacks the marks of a generated part, or a setting is not explained."""


def page(text: str) -> str:
    """Return a page with its generated parts as they have to be; raises PageError."""
    prices = table()
    for name, rows in (("settings", settings(prices)), ("stacks", sizes()), ("estimates", estimates(prices))):
        text = _between(text, name, rows)
    return text


def settings(prices: Prices) -> str:
    """Return the table of all settings: default, what it buys, and what another value costs; raises PageError."""
    rows = []
    for path in paths():
        if path not in MEANINGS:
            raise PageError(f"{path}: is not explained; infra/cloud/cost/meaning.py does")
        shown = "aws:region" if path == "region" else path
        rows.append((f"`{shown}`", _default(path), MEANINGS[path].buys, _costs(path, prices)))
    return _rows(("setting", "default", "what it buys", "what it costs"), rows)


def sizes() -> str:
    """Return the table of stacks: where each lies, and its main sizes."""
    rows = []
    for name in stacks.names():
        of = stacks.load(name)
        api = f"{of.api.minimum} to {of.api.maximum} {of.api.instance_type}"
        database = f"{of.database.kind}, {servers(of.database)} {of.database.instance_class}"
        rows.append((f"`{name}`", of.region, of.chain, database, api, of.backups.replica_region))
    return _rows(("stack", "region", "chain", "database", "API", "copies in"), rows)


def estimates(prices: Prices) -> str:
    """Return the table of what stacks cost in a month, by tier, in whole US dollars."""
    found = {name: estimate(stacks.load(name), prices) for name in stacks.names()}
    tiers = dict.fromkeys(tier for each in found.values() for tier in each.tiers)
    rows = [(tier, *(_usd(each.tiers.get(tier, 0)) for each in found.values())) for tier in tiers]
    rows.append(("**total**", *(f"**{_usd(each.total)}**" for each in found.values())))
    rows.append(("at most, scaled out", *(_usd(each.most) for each in found.values())))
    rows.append(("budget", *(_usd(stacks.load(name).monitoring.budget_usd) for name in found)))
    return _rows(("USD a month", *(f"`{name}`" for name in found)), rows)


def _costs(path: str, prices: Prices) -> str:
    meaning = MEANINGS[path]
    if meaning.other is None:
        return NOTHING
    now, most = effect(path, prices)
    besides = "".join(f", `{each}: {_yaml(value)}`" for each, value in meaning.besides.items() if _is_told(each))
    told = f"{_signed(now)} a month" if round(now) or round(now, 2) else f"{_signed(most)} at most"
    return f"`{_yaml(meaning.other)}`{besides}: {told}"


def _is_told(path: str) -> bool:
    """Whether what has to change with a setting is told beside it; an address that goes with a kind is not."""
    return path.startswith("database.") or path in {"image", "monitoring.kind"}


def _default(path: str) -> str:
    name, _, inner = path.partition(".")
    fields: dict[str, FieldInfo] = Settings.model_fields
    if inner:
        of = stacks.group(name)
        if of is None:
            raise PageError(f"{path}: {name} is no group")
        fields, name = of.model_fields, inner
    default = fields[name].default
    if default is PydanticUndefined:
        return REQUIRED
    return NOTHING if default is None else f"`{_yaml(default)}`"


def _yaml(value: Any) -> str:  # noqa: ANN401 - any setting's value
    if isinstance(value, BaseModel):
        return _yaml(value.model_dump())
    return value if isinstance(value, str) else json.dumps(value)


def _signed(usd: float) -> str:
    return f"{'+' if usd > 0 else '-'}{_usd(abs(usd))}"


def _usd(usd: float) -> str:
    return f"{usd:,.0f}" if usd >= 1 or not usd else f"{usd:.2f}"


def _rows(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (headings, *rows)]
    return "\n".join((lines[0], "|---" * len(headings) + "|", *lines[1:]))


def _between(text: str, name: str, rows: str) -> str:
    begin, end = f"<!-- {name}: generated -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise PageError(f"the page lacks `{begin}` … `{end}`")
    return f"{before}{begin}\n{rows}\n{end}{after}"
