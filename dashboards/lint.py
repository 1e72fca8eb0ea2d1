"""What is wrong with a dashboard before anybody has seen it: for tests and CI; it needs the parser of queries."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from alerts.model import REAL
from dashboards.grafana import COLUMNS, identity
from dashboards.metrics import parsed, parts, selectors
from dashboards.witnesses import WITNESSES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from dashboards.model import Dashboard, Line, Panel, Query

# A sentence, and not the title once more.
WORDS: Final = 6
UID: Final = re.compile(r"[a-z]+(-[a-z]+)*")
TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
RANGE: Final = re.compile(r"\[([^\]]*)\]")
# Metrics of whole numbers: what is bad above n is bad from n + 1 on.
WHOLE: Final = re.compile(r"\w+_(blocks|depth)")
FILTERS: Final = frozenset({"==", "!=", ">", "<", ">=", "<=", "and", "unless"})
RANGES: Final = frozenset({"$__rate_interval", "$__range"})
# An empty cluster too: what vanished has no labels.
CLUSTERS: Final = frozenset({("=", "$cluster"), ("=~", "$cluster|")})


def problems(board: Dashboard, sources: Mapping[str, Collection[float]] | None = None) -> list[str]:
    """Return what is wrong, a line each. With `sources` each line has to stand where its objective or alert says."""
    return [f"{board.uid}: {line}" for line in (*_of_board(board), *_of_panels(board, sources))]


def sources() -> dict[str, frozenset[float]]:
    """Return the objectives and alerts that lines may be of, each with the numbers that stand in it."""
    from alerts.burn import WINDOWS, alert_name  # noqa: PLC0415 - linting a single dashboard needs no rules
    from alerts.rulebook import alerts  # noqa: PLC0415 - the same
    from alerts.slo import slo  # noqa: PLC0415 - the same

    found: dict[str, set[float]] = {}
    for objective in slo().objectives:
        limits = {objective.budget, objective.limit_seconds or objective.budget}
        found[objective.name] = limits | (numbers_of(objective.moment) if objective.moment else set())
        # Drawn as what they are called by: how many times too fast.
        found[alert_name(objective)] = {tier.factor for tier in WINDOWS}
    for alert in alerts():
        found.setdefault(alert.name, set()).update(numbers_of(alert.expr))
    return {name: frozenset(numbers) for name, numbers in found.items()}


def numbers_of(expr: str) -> set[float]:
    """Return the numbers at which a condition becomes true, and whatever other ones stand in it."""
    nodes = list(parts(parsed(REAL.expression(expr))))
    numbers = {float(node.val) for node in nodes if type(node).__name__ == "NumberLiteral"}
    compared = [node for node in nodes if type(node).__name__ == "BinaryExpr" and _kind(node.rhs) == "NumberLiteral"]
    # What is bad at 0 is bad below 1: that is where a line is seen.
    exact = {float(node.rhs.val) for node in compared if str(node.op) == "=="}
    # A line is where it begins to be bad: of whole numbers above 1 that is 2.
    whole = {float(node.rhs.val) for node in compared if str(node.op) == ">" and _is_whole(node.lhs)}
    return (numbers - whole) | {number + 1 for number in exact | whole}


def _kind(node: Any) -> str:  # noqa: ANN401 - the parser has no types
    return type(node).__name__


def _is_whole(node: Any) -> bool:  # noqa: ANN401 - the parser has no types
    """Return whether an expression has only whole numbers: those of such a metric, chosen among or added."""
    kind = _kind(node)
    if kind == "VectorSelector":
        return WHOLE.fullmatch(node.name or "") is not None
    if kind == "BinaryExpr":
        return str(node.op) in FILTERS and _is_whole(node.lhs)
    if kind == "AggregateExpr":
        return str(node.op) in {"min", "max", "sum"} and _is_whole(node.expr)
    return kind == "ParenExpr" and _is_whole(node.expr)


def _of_board(board: Dashboard) -> Iterator[str]:
    if not UID.fullmatch(board.uid):
        yield "its uid is not lower case with dashes"
    for field in ("title", "description"):
        if not getattr(board, field).strip():
            yield f"it has no {field}"
    if not board.panels:
        yield "it has no panel"
    titles = [title for row in board.rows for title in (row.title, *(panel.title for panel in row.panels))]
    for title, times in Counter(panel.title for panel in board.panels).items():
        if times > 1:
            yield f"two panels are called {title!r}"
    for number, times in Counter(identity(title) for title in set(titles)).items():
        if times > 1:
            yield f"two titles have the panel number {number}: call one of them something else"
    yield from ("a row has no title" for row in board.rows if not row.title.strip())
    yield from (f"the row {row.title!r} has no panel" for row in board.rows if not row.panels)


def _of_panels(board: Dashboard, sources: Mapping[str, Collection[float]] | None) -> Iterator[str]:
    for panel in board.panels:
        for line in (*_of_panel(panel), *_of_queries(panel.queries), *_of_lines(panel.lines, sources)):
            yield f"{panel.title or 'a panel without a title'}: {line}"


def _of_panel(panel: Panel) -> Iterator[str]:
    if not panel.title.strip():
        yield "it has no title"
    if len(panel.description.split()) < WORDS:
        yield "its description does not say what it shows"
    if not panel.unit:
        yield "it has no unit"
    if not panel.witness:
        yield "it has no witness"
    elif panel.witness not in WITNESSES:
        yield f"nobody knows the witness {panel.witness!r}"
    if not panel.queries:
        yield "it has no query"
    if not 1 <= panel.width <= COLUMNS:
        yield f"it is {panel.width} columns wide, of {COLUMNS}"
    if (panel.kind == "table") != bool(panel.columns):
        yield "a table names its columns, and only a table has some"
    if panel.kind == "table" and len(panel.queries) > 1:
        yield "a table has one query"


def _of_queries(queries: Sequence[Query]) -> Iterator[str]:
    for legend, times in Counter(query.legend for query in queries).items():
        if not legend.strip():
            yield "a query has no legend"
        elif times > 1:
            yield f"two queries have the legend {legend!r}"
    for query in queries:
        yield from (f"{line}: {query.expr}" for line in _of_query(query.expr))


def _of_query(expr: str) -> Iterator[str]:
    try:
        tree = parsed(expr)
    except ValueError as error:
        yield f"not PromQL ({' '.join(str(error).split())})"
        return
    found = selectors(tree)
    if not found:
        yield "a constant is no measurement"
    if any(type(node).__name__ == "Call" and node.func.name == "vector" for node in parts(tree)):
        yield "vector(...) shows a number where there is no data"
    yield from (f"{_shown(each)} is not of $cluster" for each in found if not _is_of_cluster(each))
    for span in RANGE.findall(TEXT.sub('""', expr)):
        if span not in RANGES:
            yield f"the range [{span}] is not one of {', '.join(sorted(RANGES))}"


def _is_of_cluster(selector: Any) -> bool:  # noqa: ANN401 - the parser has no types
    return any(
        matcher.name == "cluster" and (_operator(matcher), matcher.value) in CLUSTERS
        for matcher in selector.matchers.matchers
    )


def _operator(matcher: Any) -> str:  # noqa: ANN401 - the parser has no types
    return {"Equal": "=", "Re": "=~"}.get(str(matcher.op).rpartition(".")[2], "")


def _shown(selector: Any) -> str:  # noqa: ANN401 - the parser has no types
    return selector.name or "a selector"


def _of_lines(lines: Sequence[Line], sources: Mapping[str, Collection[float]] | None) -> Iterator[str]:
    for line in lines:
        if not line.source:
            yield f"the line at {line.value:g} has no source"
        elif sources is not None and line.source not in sources:
            yield f"the line at {line.value:g} is of {line.source}, which is neither an objective nor an alert"
        elif sources is not None and line.value not in sources[line.source]:
            said = ", ".join(f"{number:g}" for number in sorted(sources[line.source])) or "no number"
            yield f"the line at {line.value:g} is of {line.source}, which says {said}"
