"""Every small fault of a PromQL expression. The parsed expression says where one can be; each is written anew as text.

No fault is made that no series could tell from the original: integers stay integers, so that a count can lie between
them; `>` becomes `>=`, which equality tells apart; a zero becomes its neighbours, since no multiple of it differs.
Where only a sign counts, or only the shape of a histogram, nothing is scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import promql_parser as promql

from tests.mutate.text import length, matchers_of, number, parts, selector, span_of, subquery, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

COMPARISONS: Final = {
    ">": (">=", "<", "<="),
    ">=": (">", "<", "<="),
    "<": ("<=", ">", ">="),
    "<=": ("<", ">", ">="),
    "==": ("!=", ">", "<"),
    "!=": ("==",),
}
SETS: Final = {"and": ("or", "unless"), "or": ("and",), "unless": ("and",)}
ARITHMETIC: Final = {"+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",)}
AGGREGATIONS: Final = {
    "max": ("min",), "min": ("max",), "sum": ("max",), "avg": ("max",), "count": ("sum",), "topk": ("bottomk",),
}  # fmt: skip
FUNCTIONS: Final = {
    "rate": ("increase",), "increase": ("rate",), "irate": ("increase",), "delta": ("increase",), "deriv": ("delta",),
    "max_over_time": ("min_over_time",), "min_over_time": ("max_over_time",), "avg_over_time": ("max_over_time",),
    "sum_over_time": ("avg_over_time",), "count_over_time": ("sum_over_time",), "last_over_time": ("max_over_time",),
    "absent_over_time": ("present_over_time",), "changes": ("resets",), "resets": ("changes",),
    "clamp_min": ("clamp_max",), "clamp_max": ("clamp_min",), "ceil": ("floor",), "floor": ("ceil",),
}  # fmt: skip
UNWRAPPED: Final = frozenset({"abs", "timestamp"})
FLIPPED: Final = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
SCALES: Final = (0.5, 0.9, 1.1, 2.0)
# Scalings of what is never negative: a comparison with zero does not notice them.
SCALINGS: Final = frozenset({("rate", "increase"), ("increase", "rate"), ("sum", "max"), ("avg", "max")})
# Below this an integer's neighbours are further from it than a tenth.
SMALL: Final = 10


@dataclass(frozen=True, slots=True)
class Variant:
    """A fault: what it is, and the whole expression with it."""

    what: str
    text: str


def variants(expr: str, *, values: bool = False) -> tuple[Variant, ...]:
    """Return all faults of an expression; each can be parsed, and none reads like the original or another one.

    `values`: what it gives is read as a value, so that a constant vector's is one too.
    """
    node = promql.parse(expr)
    original = written(node)
    found: dict[str, Variant] = {}
    for variant in (*_variants(node), *(_constants(node) if values else ())):
        text = written(promql.parse(variant.text))
        if text != original:
            found.setdefault(text, variant)
    return tuple(found.values())


def _variants(node: promql.Expr, *, scaled: bool = True, shape: bool = False) -> Iterator[Variant]:
    """Yield the faults of a node and below it; `scaled`: a factor would be noticed, `shape`: it is in a histogram."""
    yield from _own(node, scaled=scaled and not shape, shape=shape)
    if _is_vector(node):
        return  # its value is no threshold
    below = shape or (isinstance(node, promql.Call) and node.func.name == "histogram_quantile")
    children, build = parts(node)
    texts = [written(child) for child in children]
    for at, child in enumerate(children):
        kept = _scale_matters(node, scaled=scaled)
        for variant in _variants(child, scaled=kept, shape=below):
            yield Variant(variant.what, build([*texts[:at], variant.text, *texts[at + 1 :]]))


def _constants(node: promql.Expr) -> Iterator[Variant]:
    if isinstance(node, promql.Call) and _is_vector(node) and isinstance(node.args[0], promql.NumberLiteral):
        yield from (Variant(f"vector is {each}", f"vector({each})") for each in numbers(node.args[0].val))


def _is_vector(node: promql.Expr) -> bool:
    return isinstance(node, promql.Call) and node.func.name == "vector"


def _scale_matters(node: promql.Expr, *, scaled: bool) -> bool:
    """Whether a factor on a part of this node would be noticed."""
    if isinstance(node, promql.BinaryExpr):
        sides = (node.lhs, node.rhs)
        with_zero = any(isinstance(side, promql.NumberLiteral) and side.val == 0 for side in sides)
        return not (str(node.op) in COMPARISONS and with_zero)
    return scaled if isinstance(node, (promql.ParenExpr, promql.AggregateExpr)) else True


# --- faults of one place ---------------------------------------------------------------------------------------------
def _own(node: promql.Expr, *, scaled: bool, shape: bool) -> Iterator[Variant]:
    match node:
        case promql.BinaryExpr():
            yield from _operators(node)
        case promql.AggregateExpr():
            yield from _aggregations(node, scaled=scaled or shape)
        case promql.Call():
            yield from _calls(node, scaled=scaled, shape=shape)
        case promql.NumberLiteral():
            yield from (Variant(f"{number(node.val)} is {each}", each) for each in numbers(node.val))
        case promql.VectorSelector():
            yield from _selections(node, None)
        case promql.MatrixSelector():
            yield from _selections(node.vector_selector, node.range)
            for each in _halved_and_doubled(node.range):
                what = f"[{length(node.range)}] is [{length(each)}]"
                yield Variant(what, selector(node.vector_selector, span=each))
        case promql.SubqueryExpr():
            for each in _halved_and_doubled(span_of(node)):
                what = f"[{length(span_of(node))}:] is [{length(each)}:]"
                yield Variant(what, subquery(written(node.expr), node, span=each))


def _operators(node: promql.BinaryExpr) -> Iterator[Variant]:
    operator = str(node.op)
    left, right = written(node.lhs), written(node.rhs)
    modifier = f" {node.modifier}" if node.modifier else ""
    for other in (COMPARISONS | SETS | ARITHMETIC).get(operator, ()):
        yield Variant(f"{operator} is {other}", f"(({left}) {other}{modifier} ({right}))")
    if operator in SETS:
        yield Variant(f"what follows {operator} is gone", f"({left})")


def _aggregations(node: promql.AggregateExpr, *, scaled: bool) -> Iterator[Variant]:
    operator, inner = str(node.op), parts(node)[0]
    arguments = f"({', '.join(written(each) for each in inner)})"
    modifier = f" {node.modifier} " if node.modifier else ""
    for other in AGGREGATIONS.get(operator, ()):
        if not scaled and (operator, other) in SCALINGS:
            continue
        yield Variant(f"{operator} is {other}", f"{other}{modifier}{arguments}")
    if node.modifier:
        kind = "by" if node.modifier.type == promql.AggModifierType.By else "without"
        for label in node.modifier.labels:
            rest = ", ".join(each for each in node.modifier.labels if each != label)
            yield Variant(f"{kind} ({label}) is gone", f"{operator} {kind} ({rest}) {arguments}")


def _calls(node: promql.Call, *, scaled: bool, shape: bool) -> Iterator[Variant]:
    name, arguments = node.func.name, ", ".join(written(each) for each in node.args)
    for other in ("irate",) if shape and name == "rate" else FUNCTIONS.get(name, ()):
        if not scaled and (name, other) in SCALINGS:
            continue
        yield Variant(f"{name} is {other}", f"{other}({arguments})")
    if name in UNWRAPPED:
        yield Variant(f"{name} is gone", f"({arguments})")
    if name == "absent":
        yield Variant("absent is present", f"absent(absent({arguments}))")
    if name == "vector":
        yield Variant("vector is absent", f"absent(vector({arguments}))")
        yield Variant("vector is nothing", f"(vector({arguments}) > {arguments})")
        yield Variant("vector is less than itself", f"(vector({arguments}) < {arguments})")


def _selections(node: promql.VectorSelector, span: timedelta | None) -> Iterator[Variant]:
    matchers = matchers_of(node)
    for at, (label, operator, value) in enumerate(matchers):
        others = [*matchers[:at], *matchers[at + 1 :]]
        if node.name or others:
            yield Variant(f"{label}{operator} is gone", selector(node, span=span, matchers=others))
        flipped = (label, FLIPPED[operator], value)
        text = selector(node, span=span, matchers=[*matchers[:at], flipped, *matchers[at + 1 :]])
        yield Variant(f"{label}{operator} is {label}{flipped[1]}", text)
    if node.offset:
        for each in _halved_and_doubled(node.offset):
            what = f"offset {length(node.offset)} is {length(each)}"
            yield Variant(what, selector(node, span=span, offset=each))


def numbers(value: float) -> tuple[str, ...]:
    """Return the numbers that take a number's place; an integer's are integers."""
    if value == 0:
        return ("1", "-1")
    if value != int(value):
        return tuple(number(float(f"{value * scale:.12g}")) for scale in SCALES)
    whole = int(value)
    near = (whole - 1, whole + 1) if abs(whole) < SMALL else (round(whole * 0.9), round(whole * 1.1))
    found = (*near, whole // 2, whole * 2)
    return tuple(str(each) for each in dict.fromkeys(found) if each != whole)


def _halved_and_doubled(span: timedelta) -> tuple[timedelta, timedelta]:
    return span / 2, span * 2
