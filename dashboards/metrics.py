"""What stands in a query: its variables, put in; and the names of its metrics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from alerts.model import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE: Final = re.compile(r"\$(\w+)")
# Where an expression of the parser's holds others.
_INNER: Final = ("lhs", "rhs", "expr", "param", "vector_selector")


def interpolate(
    expr: str,
    *,
    cluster: str,
    interval: float,
    range: float,  # noqa: A002 - named as the variable `$__range` that it fills
) -> str:
    """Put `$cluster`, `$__rate_interval` and `$__range` into a query; both times are in seconds.

    `interval` should be at least four times what lies between two scrapes, or `rate` has too few samples. Raises
    ValueError for any other variable: Prometheus would name it a syntax error somewhere else.
    """
    values = {
        "cluster": cluster.replace("\\", "\\\\").replace('"', '\\"'),
        "__rate_interval": duration(interval),
        "__range": duration(range),
    }

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise ValueError(f"${found[1]} is no variable of a query; there are {', '.join(f'${n}' for n in values)}")
        return values[found[1]]

    return VARIABLE.sub(value, expr)


def parsed(expr: str) -> Any:  # noqa: ANN401 - the parser has no types
    """Parse a query, its variables filled in; for checks: what runs has no parser. Raises ValueError."""
    import promql_parser  # noqa: PLC0415 - a tool of development

    return promql_parser.parse(interpolate(expr, cluster="$cluster", interval=60, range=3_600))


def parts(node: Any) -> Iterator[Any]:  # noqa: ANN401 - the parser has no types
    """Yield a parsed expression and everything in it."""
    yield node
    for inner in (*(getattr(node, name, None) for name in _INNER), *getattr(node, "args", ())):
        if inner is not None:
            yield from parts(inner)


def selectors(node: Any) -> list[Any]:  # noqa: ANN401 - the parser has no types
    """Return all selectors of series in a parsed expression."""
    return [part for part in parts(node) if type(part).__name__ == "VectorSelector"]


def metric_names(expr: str) -> set[str]:
    """Return the names of the metrics that a query reads. Raises ValueError where it cannot be parsed."""
    found = set()
    for selector in selectors(parsed(expr)):
        names = [matcher.value for matcher in selector.matchers.matchers if matcher.name == "__name__"]
        found |= {name for name in (selector.name, *names) if name}
    return found
