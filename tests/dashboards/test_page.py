"""docs/dashboards.md has every panel, with its witness."""

from __future__ import annotations

from dashboards.catalog import dashboards
from dashboards.model import Line
from dashboards.page import page
from tests.dashboards.sample import board, panel


def test_the_page_has_each_panel_with_unit_lines_and_witness() -> None:
    low = Line(value=0.5, severity="critical", source="TooFew", below=True)
    text = page([board(panel(lines=(low,), description="Of a|b: answers a second."))])
    assert "## Sample\n`sample`" in text
    assert "| Answers | a second | below 0.5 TooFew | load | Of a&#124;b: answers a second. |" in text
    assert "| load | the load test's users ask the API |" in text
    assert "cpu-hog" not in text


def test_each_dashboard_is_listed_with_a_link_that_leads_to_it() -> None:
    text = page(dashboards())
    for each in dashboards():
        assert f"| [{each.title}](#{each.title.lower().replace(' ', '-')}) | {each.description} |" in text
        assert f"## {each.title}\n" in text
