"""Grafana's files: what Grafana needs is in them, the same bytes each time, and links stay good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dashboards.catalog import dashboard, dashboards
from dashboards.grafana import as_json, described, document, identity, placed
from dashboards.model import Line, Query, Unit
from tests.dashboards.sample import PANEL, board, panel

if TYPE_CHECKING:
    from dashboards.model import Dashboard

ALL = pytest.mark.parametrize("shipped", dashboards(), ids=lambda each: each.uid)
SCHEMA = 42  # Grafana 12 and 13 read it as it is


def panels(document: dict[str, Any], kind: str = "") -> list[dict[str, Any]]:
    return [each for each in document["panels"] if each["type"] == kind or (not kind and each["type"] != "row")]


def steps(*lines: Line) -> list[tuple[float | None, str]]:
    (drawn,) = panels(document(board(panel(lines=lines))))
    return [(step["value"], step["color"]) for step in drawn["fieldConfig"]["defaults"]["thresholds"]["steps"]]


@ALL
def test_a_dashboard_is_one_that_grafana_shows_as_it_is(shipped: Dashboard) -> None:
    made = document(shipped)
    assert (made["uid"], made["title"], made["description"]) == (shipped.uid, shipped.title, shipped.description)
    assert (made["schemaVersion"], made["timezone"], made["refresh"]) == (SCHEMA, "utc", "10s")
    assert made["tags"] == ["simplicity"]
    assert made["editable"] is False
    assert "id" not in made  # a number of one Grafana's own database
    assert [each["title"] for each in panels(made, "row")] == [row.title for row in shipped.rows]
    assert [each["title"] for each in panels(made)] == [each.title for each in shipped.panels]


@ALL
def test_each_panel_has_what_a_reader_needs(shipped: Dashboard) -> None:
    for drawn, defined in zip(panels(document(shipped)), shipped.panels, strict=True):
        assert drawn["type"] == defined.kind
        assert drawn["description"].startswith(defined.description)
        assert drawn["fieldConfig"]["defaults"]["unit"] == defined.unit
        assert drawn["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert [target["expr"] for target in drawn["targets"]] == [query.expr for query in defined.queries]
        assert [target["refId"] for target in drawn["targets"]] == list("ABCD")[: len(defined.queries)]
        assert all(target["datasource"] == drawn["datasource"] for target in drawn["targets"])


@ALL
def test_panels_stand_side_by_side_and_never_on_one_another(shipped: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for drawn in document(shipped)["panels"]:
        at = drawn["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, drawn["title"]
        taken |= cells


@ALL
def test_panel_numbers_are_each_there_once(shipped: Dashboard) -> None:
    numbers = [drawn["id"] for drawn in document(shipped)["panels"]]
    assert len(set(numbers)) == len(numbers)


@ALL
def test_the_data_source_and_the_environment_are_variables(shipped: Dashboard) -> None:
    made = document(shipped)
    source, cluster, page = made["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert (cluster["name"], cluster["type"]) == ("cluster", "query")
    assert cluster["query"]["query"] == cluster["definition"] == "label_values(up, cluster)"
    assert cluster["datasource"]["uid"] == "${datasource}"
    assert (page["name"], page["type"], page["query"]) == ("operations", "textbox", "http://localhost:8090")
    assert '"local"' not in as_json(shipped)


@ALL
def test_the_same_dashboard_gives_the_same_bytes_and_grafanas_own_library_reads_them(shipped: Dashboard) -> None:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: PLC0415 - warns, when not loaded by ours before
    from grafana_foundation_sdk.models.dashboard import Dashboard as Read  # noqa: PLC0415 - the same

    text = as_json(shipped)
    assert text == as_json(shipped)
    again = json.dumps(Read.from_json(json.loads(text)), cls=JSONEncoder, indent=1, sort_keys=True)
    assert json.loads(again) == json.loads(text)


def test_dashboards_are_linked_to_one_another_with_time_and_environment() -> None:
    (link,) = document(board())["links"]
    assert (link["type"], link["tags"]) == ("dashboards", ["simplicity"])
    assert link["keepTime"]
    assert link["includeVars"]


def test_an_alert_in_the_table_opens_its_runbook_on_the_operations_page() -> None:
    made = document(dashboard("overview"), operations="https://operations.example.com")
    (table,) = panels(made, "table")
    links = {each["matcher"]["options"]: each["properties"][0] for each in table["fieldConfig"]["overrides"]}
    (link,) = links["alertname"]["value"]
    assert link["url"] == "${operations:raw}/runbooks/${__data.fields.alertname}"
    assert made["templating"]["list"][2]["query"] == "https://operations.example.com"
    assert made["templating"]["list"][2]["current"]["value"] == "https://operations.example.com"


def test_a_table_is_of_this_moment_and_has_its_columns_in_order() -> None:
    (drawn,) = panels(document(board(panel(kind="table", columns=("code", "method"), value="Rate"))))
    assert (drawn["targets"][0]["instant"], drawn["targets"][0]["format"]) == (True, "table")
    options = drawn["transformations"][0]["options"]
    assert options["indexByName"] == {"code": 0, "method": 1, "Value": 2}
    assert options["renameByName"] == {"Value": "Rate"}
    assert drawn["fieldConfig"]["overrides"] == []


def test_above_a_line_it_has_the_colour_of_the_line() -> None:
    warning, critical = (
        Line(value=1, severity="warning", source="A"),
        Line(value=2, severity="critical", source="B"),
    )
    assert steps(critical, warning) == [(None, "green"), (1, "orange"), (2, "red")]
    assert steps() == [(None, "green")]


def test_below_a_line_it_has_the_colour_of_the_line() -> None:
    low = Line(value=1, severity="critical", source="A", below=True)
    lower = Line(value=3, severity="warning", source="B", below=True)
    high = Line(value=9, severity="critical", source="C")
    assert steps(low) == [(None, "red"), (1, "green")]
    assert steps(lower, high, low) == [(None, "red"), (1, "orange"), (3, "green"), (9, "red")]


def test_curves_that_are_shares_of_a_whole_are_stacked() -> None:
    (drawn,) = panels(document(board(panel(stacked=True))))
    assert drawn["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"


def test_yes_and_no_are_drawn_between_the_two() -> None:
    (drawn,) = panels(document(board(panel(unit=Unit.BOOLEAN))))
    custom = drawn["fieldConfig"]["defaults"]["custom"]
    assert (custom["axisSoftMin"], custom["axisSoftMax"]) == (0, 1)


def test_the_text_says_whose_the_lines_are_and_what_moves_the_panel() -> None:
    low = Line(value=0.5, severity="critical", source="TooFew", below=True)
    text = described(panel(lines=(*PANEL.lines, low)))
    assert "Lines: warning from 5 (TooMany); critical below 0.5 (TooFew)." in text
    assert text.endswith("Moves when the load test's users ask the API.")


def test_a_panels_number_outlasts_what_is_added_before_it() -> None:
    more = panel(title="New", queries=(Query(expr="x", legend="x"),))
    before, after = (panels(document(board(*each)))[-1]["id"] for each in ((PANEL,), (more, PANEL)))
    assert before == after == identity("Answers")


def test_panels_that_do_not_fit_in_a_line_begin_a_new_one() -> None:
    places = placed([panel(width=16), panel(width=12), panel(width=12)], 1)
    assert [(each.x, each.y) for each in places] == [(0, 1), (0, 9), (12, 9)]
