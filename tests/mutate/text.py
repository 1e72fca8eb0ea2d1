"""A parsed PromQL expression as text again: the parser's own printing does not escape what stands in quotes."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import TYPE_CHECKING, Final, TypeAlias

import promql_parser as promql

from alerts.model import duration

if TYPE_CHECKING:
    from datetime import timedelta

MATCHERS: Final = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
Parts: TypeAlias = tuple[tuple[promql.Expr, ...], Callable[[list[str]], str]]


def written(node: promql.Expr) -> str:
    """Return an expression as text."""
    children, build = parts(node)
    return build([written(child) for child in children])


@singledispatch
def parts(node: promql.Expr) -> Parts:
    """Return the parts of an expression, and how they are put together."""
    raise TypeError(f"no rule has had a {type(node).__name__} yet: write here how it reads")


@parts.register
def _(node: promql.BinaryExpr) -> Parts:
    operator = f"{node.op} {node.modifier}" if node.modifier else f"{node.op}"
    return (node.lhs, node.rhs), lambda texts: f"{texts[0]} {operator} {texts[1]}"


@parts.register
def _(node: promql.AggregateExpr) -> Parts:
    inner = (node.expr,) if node.param is None else (node.param, node.expr)
    head = f"{node.op} {node.modifier} " if node.modifier else f"{node.op}"
    return inner, lambda texts: f"{head}({', '.join(texts)})"


@parts.register
def _(node: promql.Call) -> Parts:
    return tuple(node.args), lambda texts: f"{node.func.name}({', '.join(texts)})"


@parts.register
def _(node: promql.ParenExpr) -> Parts:
    return (node.expr,), lambda texts: f"({texts[0]})"


@parts.register
def _(node: promql.UnaryExpr) -> Parts:
    return (node.expr,), lambda texts: f"-{texts[0]}"


@parts.register
def _(node: promql.SubqueryExpr) -> Parts:
    return (node.expr,), lambda texts: subquery(texts[0], node)


@parts.register
def _(node: promql.NumberLiteral) -> Parts:
    return (), lambda _: number(node.val)


@parts.register
def _(node: promql.StringLiteral) -> Parts:
    return (), lambda _: _quoted(node.val)


@parts.register
def _(node: promql.VectorSelector) -> Parts:
    return (), lambda _: selector(node)


@parts.register
def _(node: promql.MatrixSelector) -> Parts:
    return (), lambda _: selector(node.vector_selector, span=node.range)


def number(value: float) -> str:
    """Return a number as PromQL reads it back without loss."""
    return str(int(value)) if value == int(value) else repr(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def matchers_of(node: promql.VectorSelector) -> list[tuple[str, str, str]]:
    """Return label, operator and value of each matcher."""
    return [(each.name, MATCHERS[str(each.op).rpartition(".")[2]], each.value) for each in node.matchers.matchers]


def selector(
    node: promql.VectorSelector,
    *,
    span: timedelta | None = None,
    matchers: list[tuple[str, str, str]] | None = None,
    offset: timedelta | None = None,
) -> str:
    """Return a selector as text, or as it were with other matchers or another offset; `span`: with this range."""
    chosen = matchers_of(node) if matchers is None else matchers
    inside = ", ".join(f"{label}{operator}{_quoted(value)}" for label, operator, value in chosen)
    ranged = f"[{length(span)}]" if span else ""
    shift = offset or node.offset
    return f"{node.name or ''}{{{inside}}}{ranged}" + (f" offset {length(shift)}" if shift else "")


def subquery(inner: str, node: promql.SubqueryExpr, *, span: timedelta | None = None) -> str:
    """Return a subquery of an expression, or as it were with another range."""
    step = length(node.step) if node.step else ""
    shift = f" offset {length(node.offset)}" if node.offset else ""
    return f"{inner}[{length(span or span_of(node))}:{step}]{shift}"


def span_of(node: promql.SubqueryExpr) -> timedelta:
    """Return the range of a subquery."""
    if node.range is None:
        raise TypeError("a subquery without a range")
    return node.range


def length(span: timedelta) -> str:
    """Return a duration as text."""
    return duration(span.total_seconds())
