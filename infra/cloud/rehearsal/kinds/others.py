"""What several kinds share: tags of what is made, and other values that AWS takes, for drills of drift."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kinds.shared import pairs

if TYPE_CHECKING:
    from infra.cloud.rehearsal.values import Props


def tagged(wanted: Props) -> dict[str, Any]:
    """Return the tags of what is made, for a call that takes no empty list."""
    tags = pairs(wanted.get("tags"))
    return {"Tags": tags} if tags else {}


def text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return another description."""
    return f"{value or ''} drifted".strip()


def statements(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return a policy without its last statement; one that has but one forbids what it allowed."""
    document = json.loads(value)
    if len(document["Statement"]) > 1:
        document["Statement"].pop()
    else:
        document["Statement"][0]["Effect"] = "Deny"
    return json.dumps(document)


def fewer(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    """Return a list without its last."""
    return list(value[:-1])
