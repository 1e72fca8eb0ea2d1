"""Dashboards as Grafana reads them: the classic JSON, which Grafana 12 and 13 provision from files.

The same dashboard gives the same bytes. The data source and the environment are variables, so that one file serves any
Grafana; the variable `operations` is where the operations page is, whose runbooks the table of alerts opens.
"""

from __future__ import annotations

import json
import warnings
import zlib
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dashboards.model import Unit
from dashboards.witnesses import WITNESSES

with warnings.catch_warnings():
    # It would rather have the second schema, which Grafana 12 reads from files only behind a switch.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import common, dashboard, prometheus, table, timeseries
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common as kinds
    from grafana_foundation_sdk.models import dashboard as models
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.model import Dashboard, Line, Panel, Query

Built: TypeAlias = "timeseries.Panel | table.Panel"

OPERATIONS: Final = "http://localhost:8090"
TAG: Final = "simplicity"
COLUMNS: Final = 24
HEIGHT: Final = 8
ALERT: Final = "alertname"
COLOURS: Final = {"warning": "orange", "critical": "red"}
FINE: Final = "green"
SOURCE: Final = kinds.DataSourceRef(type_val="prometheus", uid="${datasource}")
CLUSTERS: Final = "label_values(up, cluster)"


def as_json(board: Dashboard, *, operations: str = OPERATIONS) -> str:
    """Return a dashboard's file."""
    return json.dumps(document(board, operations=operations), indent=1, sort_keys=True) + "\n"


def document(board: Dashboard, *, operations: str = OPERATIONS) -> dict[str, Any]:
    """Return a dashboard as Grafana's API takes it; `operations` is the URL of the operations page."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .readonly()  # what is changed in Grafana would be lost with the next release
        .timezone("utc")
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_links())
    )
    for variable in _variables(operations):
        built.with_variable(variable)
    top = 0
    for row in board.rows:
        built.with_row(dashboard.Row(row.title).id(identity(row.title)).grid_pos(models.GridPos(h=1, w=COLUMNS, y=top)))
        places = placed(row.panels, top + 1)
        for panel, place in zip(row.panels, places, strict=True):
            built.with_panel(_panel(panel).grid_pos(place))
        top = max(place.y + place.h for place in places)
    encoded: dict[str, Any] = json.loads(json.dumps(built.build(), cls=JSONEncoder))
    return encoded


def identity(title: str) -> int:
    """Return a panel's number, from its title: a link to a panel outlasts what is added before it."""
    return 1 + zlib.crc32(title.encode()) % 1_000_000


def placed(panels: Sequence[Panel], top: int) -> list[models.GridPos]:
    """Return where the panels of a row stand, from left to right, in as many lines as they need."""
    places, left = [], 0
    for panel in panels:
        if left + panel.width > COLUMNS:
            left, top = 0, top + HEIGHT
        places.append(models.GridPos(h=HEIGHT, w=panel.width, x=left, y=top))
        left += panel.width
    return places


def _links() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Dashboards")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )


def _variables(
    operations: str,
) -> tuple[dashboard.DatasourceVariable, dashboard.QueryVariable, dashboard.TextBoxVariable]:
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    clusters = (
        dashboard.QueryVariable("cluster")
        .label("Environment")
        .datasource(SOURCE)
        .definition(CLUSTERS)
        .query({"qryType": 1, "query": CLUSTERS, "refId": "clusters"})
        .refresh(models.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    page = (
        dashboard.TextBoxVariable("operations")
        .label("Operations page")
        .default_value(operations)
        .current(models.VariableOption(selected=True, text=operations, value=operations))
    )
    return source, clusters, page


def _panel(panel: Panel) -> Built:
    built: Built = _table(panel) if panel.kind == "table" else _curves(panel)
    built.id(identity(panel.title)).title(panel.title).description(described(panel)).datasource(SOURCE)
    built.unit(panel.unit.value).thresholds(_thresholds(panel.lines))
    for number, query in enumerate(panel.queries):
        built.with_target(_target(panel, query, chr(ord("A") + number)))
    return built


def described(panel: Panel) -> str:
    """Return a panel's text: what it shows, whose lines are drawn, and what makes it move."""
    lines = "; ".join(
        f"{line.severity} {'below' if line.below else 'from'} {line.value:g} ({line.source})" for line in panel.lines
    )
    parts = [panel.description, f"Lines: {lines}." if lines else "", f"Moves when {WITNESSES[panel.witness]}."]
    return "\n\n".join(part for part in parts if part)


def _curves(panel: Panel) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        .fill_opacity(20 if panel.stacked else 0)
        .line_width(1)
        .show_points(kinds.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(kinds.LegendDisplayMode.LIST)
            .placement(kinds.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    )
    if panel.stacked:
        built.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))
    if panel.lines:
        built.thresholds_style(common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED))
    if panel.unit is Unit.BOOLEAN:
        built.axis_soft_min(0).axis_soft_max(1)
    return built


def _table(panel: Panel) -> table.Panel:
    order = {name: place for place, name in enumerate((*panel.columns, "Value"))}
    organised = models.DataTransformerConfig(
        id_val="organize",
        options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": {"Value": panel.value}},
    )
    built = table.Panel().with_transformation(organised).no_value("nothing")
    if ALERT in panel.columns:
        # As it stands, unescaped: it begins the address.
        url = f"${{operations:raw}}/runbooks/${{__data.fields.{ALERT}}}"
        link = {"title": "What to do", "url": url, "targetBlank": True}
        built.override_by_name(ALERT, [models.DynamicConfigValue(id_val="links", value=[link])])
        colours = {name: {"color": colour, "index": n} for n, (name, colour) in enumerate(COLOURS.items())}
        built.override_by_name(
            "severity",
            [
                models.DynamicConfigValue(id_val="mappings", value=[{"type": "value", "options": colours}]),
                models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
            ],
        )
    return built


def _target(panel: Panel, query: Query, name: str) -> prometheus.Dataquery:
    built = prometheus.Dataquery().ref_id(name).datasource(SOURCE).expr(query.expr)
    if panel.kind == "table":
        return built.instant().format(PromQueryFormat.TABLE)
    return built.range().legend_format(query.legend)


def _thresholds(lines: Sequence[Line]) -> dashboard.ThresholdsConfig:
    low, high = ([line for line in _sorted(lines) if line.below is below] for below in (True, False))
    # Below the lowest line stands its colour, above each the colour of the next one that is still above.
    under = [*(COLOURS[line.severity] for line in low), FINE]
    steps = [models.Threshold(value=None, color=under[0])]
    steps += [models.Threshold(value=line.value, color=colour) for line, colour in zip(low, under[1:], strict=True)]
    steps += [models.Threshold(value=line.value, color=COLOURS[line.severity]) for line in high]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _sorted(lines: Sequence[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: line.value)
