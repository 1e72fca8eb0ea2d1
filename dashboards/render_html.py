"""A dashboard with its data as HTML: one file that needs nothing else; its charts are told in words too."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from dashboards.model import Unit
from dashboards.render_markup import Markup, element, joined, style_hash
from dashboards.render_svg import chart, swatch
from dashboards.render_units import formatted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.model import Line, Panel
    from dashboards.render_data import Drawn, Picture, Window

NO_DATA: Final = "no data in this range"
COLUMNS: Final = 24
ALERT: Final = "alertname"
VIEWPORT: Final = element("meta", name="viewport", content="width=device-width, initial-scale=1")


@cache
def style() -> str:
    """Return the style sheet of pages with panels."""
    widths = "".join(f".w{n}{{grid-column:span {n}}}" for n in range(1, COLUMNS + 1))
    text = Path(__file__).with_name("render.css").read_text(encoding="utf-8")
    # Before the rule for narrow pages, which has to win.
    return text.replace(".panels { display", f"{widths}\n.panels {{ display", 1)


def document(picture: Picture) -> str:
    """Return a whole page."""
    policy = f"default-src 'none'; style-src {style_hash(style())}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        VIEWPORT,
        element("title", f"{picture.dashboard.title} · {picture.cluster}"),
        Markup(f"<style>{style()}</style>"),
    )
    body = element("body", heading(picture), element("main", panels(picture)), footer(picture))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def heading(picture: Picture) -> Markup:
    """Return what stands over a dashboard: what it is of, and of which time."""
    return element(
        "header",
        element("h1", picture.dashboard.title),
        element("p", picture.dashboard.description),
        element("p", f"{picture.cluster} · {span(picture.window)}", class_="soft"),
        *(element("p", f"Prometheus warns: {warning}", class_="problem") for warning in picture.warnings),
    )


def footer(picture: Picture) -> Markup:
    """Return what stands below a dashboard."""
    window = picture.window
    return element(
        "footer",
        f"Times are UTC. A point each {formatted(window.step, Unit.SECONDS)}; rates are over "
        f"{formatted(window.interval, Unit.SECONDS)}.",
    )


def span(window: Window) -> str:
    """Return a window in words."""
    first, last = (datetime.fromtimestamp(at, UTC) for at in (window.start, window.end))
    until = f"{last:%H:%M:%S}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    return f"{first:%Y-%m-%d %H:%M:%S} to {until} UTC ({formatted(window.seconds, Unit.SECONDS)})"


def panels(picture: Picture, runbooks: str = "") -> Markup:
    """Return all rows of a dashboard. An alert's name in a table opens `runbooks` with the name behind it, if given."""
    drawn, rows = iter(picture.panels), []
    for row in picture.dashboard.rows:
        shown = [panel(next(drawn), picture.window, runbooks) for _ in row.panels]
        rows.append(element("section", element("h2", row.title), element("div", *shown, class_="panels")))
    return joined(*rows)


def panel(drawn: Drawn, window: Window, runbooks: str = "") -> Markup:
    """Return one panel."""
    shown, broken = drawn.panel, drawn.broken
    severity = broken.severity if broken else ""
    state = element("span", severity, class_=f"state {severity}") if severity else None
    return element(
        "article",
        element("header", element("h3", shown.title), state),
        element("p", shown.description, class_="about"),
        _body(drawn, window, runbooks),
        _omitted(drawn),
        _limits(shown),
        class_=f"panel w{min(max(shown.width, 1), COLUMNS)} {severity}".strip(),
    )


def _body(drawn: Drawn, window: Window, runbooks: str) -> Markup:
    if drawn.problem:
        return element("p", drawn.problem, class_="problem")
    if drawn.is_empty:
        return element("p", "nothing to list" if drawn.panel.kind == "table" else NO_DATA, class_="empty")
    if drawn.table:
        return _table(drawn.table.columns, drawn.table.rows, runbooks)
    return joined(chart(drawn, window), _legend(drawn))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], runbooks: str) -> Markup:
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    body = (
        element("tr", *(element("td", _cell(*each, runbooks)) for each in zip(columns, row, strict=True)))
        for row in rows
    )
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="scroll")


def _cell(column: str, text: str, runbooks: str) -> str | Markup:
    if column != ALERT or not runbooks or not text:
        return text
    return element("a", text, href=f"{runbooks}/{quote(text, safe='')}")


def _legend(drawn: Drawn) -> Markup:
    head = element("tr", *(element("th", text, scope="col") for text in ("", "now", "lowest", "highest")))
    rows = []
    for number, curve in enumerate(drawn.curves):
        values = [value for _, value in curve.points]
        told = [curve.now, min(values), max(values)]
        texts = ("-" if value is None else formatted(value, drawn.panel.unit) for value in told)
        name = element("td", swatch(number), curve.legend or drawn.panel.title)
        rows.append(element("tr", name, *(element("td", text) for text in texts)))
    return element("table", element("thead", head), element("tbody", *rows), class_="legend")


def _omitted(drawn: Drawn) -> Markup | None:
    if not drawn.omitted:
        return None
    return element("p", f"and {drawn.omitted} more that are less bad", class_="soft")


def _limits(of: Panel) -> Markup | None:
    if not of.lines:
        return None
    return element("ul", *(element("li", *_limit(line, of)) for line in of.lines), class_="limits")


def _limit(line: Line, of: Panel) -> tuple[Markup, str]:
    way = "below" if line.below else "from"
    return element(
        "span", line.severity, class_=line.severity
    ), f" {way} {formatted(line.value, of.unit)}: {line.source}"
