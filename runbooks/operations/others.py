"""The other pages: dashboards, runbooks, deliveries, and what there is none of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from dashboards.render_html import footer, heading, panels
from dashboards.render_markup import Markup, element
from dashboards.render_units import ago
from runbooks.operations.frame import framed, part
from runbooks.operations.prose import prose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dashboards.model import Dashboard
    from dashboards.render_data import Picture
    from runbooks.engine.model import Runbook
    from runbooks.operations.deliveries import Delivery

SPANS: Final = ("-15m", "-1h", "-6h", "-1d", "-7d")
LONGEST_PAYLOAD = 6_000


def dashboards_page(boards: Iterable[Dashboard]) -> str:
    """Return the list of dashboards."""
    rows = (
        element("li", element("a", board.title, href=f"/dashboards/{board.uid}"), f": {board.description}")
        for board in boards
    )
    return framed("Dashboards", element("h1", "Dashboards"), element("ul", *rows), way="/dashboards")


def dashboard_page(picture: Picture, start: str, end: str) -> str:
    """Return a dashboard; one that ends now keeps itself up to date."""
    board = picture.dashboard
    file = f"/dashboards/{board.uid}.png?{urlencode({'from': start, 'to': end})}"
    spans = (
        element(
            "a", f"last {span[1:]}", href=f"/dashboards/{board.uid}?from={span}", aria_current=_current(span, start)
        )
        for span in SPANS
    )
    return framed(
        f"{board.title} · {picture.cluster}",
        part("head", heading(picture)),
        element("nav", *_apart(*spans, element("a", "as PNG", href=file)), aria_label="Time"),
        part("panels", panels(picture, "/runbooks")),
        part("foot", footer(picture)),
        way="/dashboards",
        live=end == "now",
    )


def _current(span: str, start: str) -> str | None:
    return "true" if span == start else None


def _apart(*links: Markup) -> list[Markup | str]:
    return [each for link in links for each in (link, " · ")][:-1]


def runbooks_page(books: Mapping[str, Runbook]) -> str:
    """Return the list of runbooks."""
    rows = (
        element("tr", element("td", element("a", name, href=f"/runbooks/{name}")), element("td", book.title))
        for name, book in books.items()
    )
    table = element("table", element("tbody", *rows))
    return framed("Runbooks", element("h1", "Runbooks"), element("div", table, class_="card"), way="/runbooks")


def runbook_page(book: Runbook, text: str) -> str:
    """Return a runbook's page, which is Markdown."""
    return framed(book.title, element("div", prose(text), class_="prose"), way="/runbooks")


def deliveries_page(found: Iterable[Delivery], now: float) -> str:
    """Return what was delivered, the newest first."""
    head = element("tr", *(element("th", text, scope="col") for text in ("when", "what", "receiver", "alerts")))
    rows = [_delivery(each, now) for each in found]
    table = element("table", element("thead", head), element("tbody", *rows))
    return framed(
        "Deliveries",
        element("h1", "Deliveries"),
        element("p", "What Alertmanager delivered here, the newest first: proof that alerts arrive.", class_="soft"),
        part("deliveries", element("div", table, class_="card scroll") if rows else element("p", "Nothing yet.")),
        way="/deliveries",
        live=True,
    )


def _delivery(found: Delivery, now: float) -> Markup:
    notification = found.notification
    mark = "critical" if notification.status == "firing" else "good"
    alerts = (
        element("li", f"{alert.status}: {alert.name} {alert.annotations.get('summary', '')}"[:300])
        for alert in notification.alerts[:20]
    )
    text = json.dumps(found.payload, indent=2, ensure_ascii=False)
    shown = text if len(text) <= LONGEST_PAYLOAD else f"{text[:LONGEST_PAYLOAD]}\n… /deliveries.json has all of it"
    # By its key a payload that a person has opened is found again among newer ones.
    key = f"{found.at.timestamp():.3f}"
    payload = element("details", element("summary", "payload"), element("pre", shown), data_key=key)
    return element(
        "tr",
        element("td", f"{found.at:%Y-%m-%d %H:%M:%S} UTC", element("p", ago(found.at.timestamp(), now), class_="soft")),
        element("td", notification.status, class_=f"mark {mark}"),
        element("td", notification.receiver),
        element("td", element("ul", *alerts), payload),
    )


def problem_page(title: str, text: str) -> str:
    """Return the page of what cannot be shown."""
    return framed(title, element("h1", title), element("p", text, class_="problem"))
