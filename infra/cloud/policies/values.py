"""Values of resources, as rules read them: of any form, and some not known before they are created."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

Props = dict[str, Any]

# What stands for a value that only the creation tells, beside the wire's own word for it.
LATER = "not known yet"
PRODUCTION = "production"


def is_production(inputs: Props) -> bool:
    """Whether a resource's tags say that clients use it."""
    return str(tags_of(inputs).get("environment", "")).startswith(PRODUCTION)


def tags_of(inputs: Props) -> Mapping[Any, Any]:
    """Return a resource's tags; an auto scaling group has a list of them."""
    given = inputs.get("tags") or {}
    if isinstance(given, list):
        return {each.get("key"): each.get("value") for each in each_of(inputs, "tags")}
    return given if isinstance(given, dict) else {}


def tags_are_known(inputs: Props) -> bool:
    """Whether all of a resource's tags are known, by their names at least."""
    given = inputs.get("tags") or {}
    names = [each.get("key") if isinstance(each, dict) else each for each in given] if isinstance(given, list) else []
    return not any(map(is_later, [given, *names]))


def at(inputs: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return what a path leads to; what lies within something that is not known yet is not known either."""
    value: Any = inputs
    for name in path.split("."):
        if not is_later(value):
            value = value.get(name) if isinstance(value, dict) else None
    return value


def each_of(inputs: Mapping[str, Any], name: str) -> list[Props]:
    """Return the parts of a list that are known."""
    value = inputs.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def is_later(value: Any) -> bool:  # noqa: ANN401 - as above
    """Whether a value is not known before it is created."""
    return isinstance(value, str) and value in {LATER, UNKNOWN}


def is_(value: Any, wanted: Any) -> bool:  # noqa: ANN401 - as above
    """Whether a value is what it has to be, or not known yet."""
    return is_later(value) or bool(value == wanted)


def is_on(inputs: Props, name: str) -> bool:
    """Whether a property is known to be on."""
    return bool(inputs.get(name)) and not is_later(inputs.get(name))


def is_below(inputs: Props, name: str, least: int) -> bool:
    """Whether a number is missing, or known to be below the least."""
    value = inputs.get(name)
    return value is None or (isinstance(value, int | float) and value < least)


def statements(document: Any) -> list[Props]:  # noqa: ANN401 - a policy, as text or not known yet
    """Return the statements of a policy, which is text; none where it is not known yet."""
    if not isinstance(document, str) or not document.startswith("{"):
        return []
    value = json.loads(document).get("Statement", [])
    return value if isinstance(value, list) else [value]


def many(value: Any) -> list[str]:  # noqa: ANN401 - one or several
    """Return the texts of what may be one or several."""
    return [value] if isinstance(value, str) else [each for each in value or () if isinstance(each, str)]
