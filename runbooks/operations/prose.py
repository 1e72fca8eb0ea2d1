"""Runbooks' pages, which are Markdown, as HTML."""

from __future__ import annotations

from functools import cache

from markdown_it import MarkdownIt

from dashboards.render_markup import Markup


def prose(text: str) -> Markup:
    """Return Markdown as HTML. HTML in it is shown as text; comments of whole lines are for those who read the file."""
    lines = (line for line in text.splitlines() if not (line.startswith("<!--") and line.endswith("-->")))
    return Markup(_parser().render("\n".join(lines)))


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")
