"""The frame of every page: its head, its policy, its ways to the other pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from dashboards.render_html import VIEWPORT, style
from dashboards.render_markup import Content, Markup, element, style_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE: Final = Path(__file__).parent
WAYS: Final = {"/": "Now", "/dashboards": "Dashboards", "/runbooks": "Runbooks", "/deliveries": "Deliveries"}
# Without scripts a browser loads the page anew by itself.
RELOAD_SECONDS: Final = 10


@cache
def sheet() -> str:
    """Return the style sheet of all pages."""
    return f"{style()}\n{(HERE / 'page.css').read_text(encoding='utf-8')}"


@cache
def script() -> str:
    """Return the script that keeps a page up to date."""
    return (HERE / "page.js").read_text(encoding="utf-8")


@cache
def headers() -> Mapping[str, str]:
    """Return the headers of every answer. The policy admits our one style sheet and our one script, and no other."""
    policy = (
        f"default-src 'none'; style-src {style_hash(sheet())}; script-src {style_hash(script())}; "
        "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def framed(title: str, *content: Content, way: str = "", live: bool = False) -> str:
    """Return a whole page; a `live` one keeps itself up to date."""
    reload = element("meta", http_equiv="refresh", content=RELOAD_SECONDS)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        VIEWPORT,
        element("title", title),
        element("noscript", reload) if live else None,
        Markup(f"<style>{sheet()}</style>"),
    )
    ways = (element("a", text, href=to, aria_current="page" if to == way else None) for to, text in WAYS.items())
    stale = element(
        "p", "This page is no longer up to date: its server does not answer, or is busy.", id="stale", hidden=True
    )
    held = element("p", id="held", hidden=True)
    body = element(
        "body",
        element("header", element("nav", *ways, aria_label="Pages"), stale, held, class_="top"),
        element("main", *content),
        Markup(f"<script>{script()}</script>") if live else None,
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def part(name: str, *content: Content, **attributes: str) -> Markup:
    """Return a section that a live page replaces as one."""
    return element("section", *content, data_part=name, **attributes)


def link(text: str, url: str) -> Markup | None:
    """Return a link to what somebody else named; None where it is no page's address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return None
    return element("a", text, href=url, rel="noreferrer")
