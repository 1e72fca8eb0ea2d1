"""When what is wanted is what is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.values import has_unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OPENING = frozenset({"{", "["})
# Maps of which a name too many is a difference, of whatever type.
_EXACT = frozenset({"tags", "dimensions"})
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def same(wanted: Any, found: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether what was found does as what is wanted.

    Documents in JSON are compared as values, numbers as AWS writes them, lists without their order, and what AWS adds
    to a block by itself does not count.
    """
    if has_unknown(wanted):
        return False
    if isinstance(wanted, str) and wanted[:1] in _OPENING:
        return bool(_document(wanted) == _document(found))
    match wanted, found:
        case (dict(), dict()):
            return all(same(value, found.get(name)) for name, value in wanted.items())
        case (list(), list()):
            return len(wanted) == len(found) and _matched(wanted, list(found))
        # An empty block says something by being there: `allow: {}`.
        case _ if wanted != {} and _is_empty(wanted):
            return _is_empty(found)
        case _:
            return _scalar(wanted) == _scalar(found)


def changed(
    properties: Iterable[str],
    wanted: Mapping[str, Any],
    found: Mapping[str, Any],
    before: Mapping[str, Any],
    exact: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    """Return the properties that differ, in order; one that nobody sets now or did before is AWS's own affair.

    Of `exact` ones nothing may be there that is not wanted: a way around a rule that somebody added inside of it.
    """

    def differs(name: str) -> bool:
        there, back = same(wanted.get(name), found.get(name)), same(found.get(name), wanted.get(name))
        return not there or (name in _EXACT | exact and not back)

    return tuple(sorted(name for name in properties if (name in wanted or name in before) and differs(name)))


def _matched(wanted: list[Any], found: list[Any]) -> bool:
    for each in wanted:
        position = next((n for n, other in enumerate(found) if same(each, other)), None)
        if position is None:
            return False
        found.pop(position)
    return True


def _is_empty(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return value is False or value in _EMPTY


def _document(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return what a text in JSON says, its lists in one order: AWS keeps none in a policy's actions and resources."""
    try:
        return _ordered(json.loads(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def _ordered(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case dict():
            return {name: _ordered(each) for name, each in value.items()}
        case list():
            return sorted((_ordered(each) for each in value), key=json.dumps)
        case _:
            return value


def _scalar(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
