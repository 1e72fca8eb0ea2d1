"""Dashboards as pages: whole, escaped, and told in words."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from dashboards.model import Line, Unit
from dashboards.render import as_html
from dashboards.render_data import Drawn, Table
from dashboards.render_html import panels, style
from dashboards.render_markup import Markup, element, joined
from dashboards.render_svg import stacked
from tests.dashboards.render.pictures import HOSTILE, curve, panel, picture


class Balanced(HTMLParser):
    """Reads a page and notes what is opened and not closed, and every address in it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.styles = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.addresses += [str(names[name]) for name in ("href", "src", "xlink:href") if name in names]
        self.styles += "style" in names
        if tag not in {"meta", "link", "br", "hr", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


LIMIT = Line(value=0.02, severity="critical", source="objective api-latency")


def test_a_page_needs_nothing_but_itself_and_its_policy_admits_nothing_else() -> None:
    page = as_html(picture(Drawn(panel(), (curve("2xx", 1, 2),)))).decode()
    found = read(page)
    assert not found.addresses
    assert not found.styles, "the policy refuses styles of elements"
    assert "default-src &#x27;none&#x27;; style-src &#x27;sha256-" in page
    assert "http://" not in page.replace("http-equiv", "")
    assert "<script" not in page


def test_the_same_data_gives_the_same_bytes() -> None:
    shown = picture(Drawn(panel(), (curve("2xx", 1, 2),)))
    assert as_html(shown) == as_html(shown)


def test_every_panel_has_its_title_description_legend_limits_and_its_curve_in_words() -> None:
    drawn = Drawn(panel("Latency", Unit.SECONDS, lines=(LIMIT,)), (curve("p95", 0.01, 0.03), curve("p50", 0.001)))
    page = as_html(picture(drawn)).decode()
    assert "<h3>Latency</h3>" in page
    assert "What Latency shows." in page
    words = "Latency. p95: now 10 ms, between 10 ms and 30 ms; p50: now 1 ms, between 1 ms and 1 ms."
    assert f'aria-label="{words}"' in page
    assert f"<title>{words}</title>" in page
    assert '<span class="critical">critical</span> from 20 ms: objective api-latency' in page
    assert re.search(r"p95</td><td>10 ms</td><td>10 ms</td><td>30 ms</td>", page)
    assert page.count('class="limit critical"') == 1


def test_a_panel_past_its_threshold_says_so_in_words_and_not_in_colour_alone() -> None:
    slow = Drawn(panel("Latency", Unit.SECONDS, lines=(LIMIT,)), (curve("p95", 0.03),))
    assert '<span class="state critical">critical</span>' in as_html(picture(slow)).decode()
    fast = Drawn(panel("Latency", Unit.SECONDS, lines=(LIMIT,)), (curve("p95", 0.01),))
    assert 'class="state' not in as_html(picture(fast)).decode()


def test_a_threshold_that_is_bad_below_it_is_past_when_the_value_falls() -> None:
    line = Line(value=0.25, severity="warning", source="a quarter", below=True)
    low = Drawn(panel("Budget", Unit.RATIO, lines=(line,)), (curve("slo", 0.1),))
    page = as_html(picture(low)).decode()
    assert '<span class="state warning">warning</span>' in page
    assert '<span class="warning">warning</span> below 25 %: a quarter' in page
    assert low.broken == line


def test_what_others_wrote_is_shown_and_is_no_markup() -> None:
    table = Table(("alertname", "instance"), ((HOSTILE, HOSTILE),))
    page = as_html(
        picture(
            Drawn(panel(), (curve(HOSTILE, 1),)),
            Drawn(panel(kind="table"), table=table),
            Drawn(panel(), problem=HOSTILE),
        )
    ).decode()
    read(page)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert('$x$')&lt;/script&gt;") >= 4


def test_an_empty_panel_says_so_a_failed_one_why_and_a_list_of_nothing_is_good() -> None:
    page = as_html(
        picture(Drawn(panel()), Drawn(panel(), problem="no route"), Drawn(panel(kind="table"), table=Table((), ())))
    ).decode()
    assert page.count("no data in this range") == 1
    assert '<p class="problem">no route</p>' in page
    assert page.count("nothing to list") == 1


def test_an_alerts_name_in_a_table_opens_its_runbook_where_there_are_runbooks() -> None:
    shown = picture(Drawn(panel(kind="table"), table=Table(("alertname", "For"), (("Api/Down", "3 s"),))))
    assert '<a href="/runbooks/Api%2FDown">Api/Down</a>' in panels(shown, "/runbooks")
    assert "<a " not in panels(shown)


def test_a_curve_is_interrupted_where_values_are_missing_and_a_value_that_ended_is_not_now() -> None:
    gone = curve("a", 5, missing=range(100, 181))
    hole = curve("b", 1, 2, missing=range(50, 60))
    page = as_html(picture(Drawn(panel(), (gone, hole)))).decode()
    curves = re.findall(r'<path d="([^"]*)" class="curve', page)
    assert [path.count("M") for path in curves] == [1, 2]
    assert "a: no value any more" in page
    assert "a</td><td>-</td>" in page


def test_a_single_point_is_seen() -> None:
    page = as_html(picture(Drawn(panel(), (curve("a", 5, missing=range(180)),)))).decode()
    assert re.search(r'd="M1000.0,[0-9.]+ 1002.0,', page)


def test_stacked_curves_stand_on_one_another_and_a_missing_one_leaves_no_hole() -> None:
    layers = stacked((curve("a", 1, missing=range(10)), curve("b", 2)))
    assert layers[0][0][1] == 0
    assert layers[1][0][1] == 2
    assert layers[1][-1][1] == 3
    page = as_html(picture(Drawn(panel(stacked=True), (curve("a", 1), curve("b", 2))))).decode()
    assert page.count('class="area') == 2


def test_more_curves_than_colours_are_told_apart_by_dashes() -> None:
    page = as_html(picture(Drawn(panel(), tuple(curve(f"c{n}", n) for n in range(10))))).decode()
    assert page.count(' again"') == 2
    assert page.count('rx="6"') == 2


def test_what_is_left_out_is_counted() -> None:
    assert "and 3 more that are less bad" in as_html(picture(Drawn(panel(), (curve("a", 1),), omitted=3))).decode()


def test_markup_escapes_text_and_leaves_markup_as_it_is() -> None:
    assert element("p", "<", Markup("<b>x</b>"), None, ["&"], title='"') == '<p title="&quot;">&lt;<b>x</b>&amp;</p>'
    assert element("br") == "<br>"
    assert element("i", hidden=True, width=0, height=None, max=1.5) == '<i hidden width="0" max="1.5"></i>'
    assert isinstance(joined("a", "b"), Markup)


@pytest.mark.parametrize("theme", ["prefers-color-scheme: dark", "max-width: 900px", "@media print"])
def test_the_style_is_for_dark_narrow_and_printed_pages_too(theme: str) -> None:
    assert theme in style()
    assert style().index(".w8{") < style().index("max-width: 900px"), "the rule for narrow pages has to win"
