"""What policies say, for tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.infra.cloud.recording import Registered


def of(made: Iterable[Registered], kind: str) -> dict[str, Registered]:
    """Return the resources of a type, `iam/role:Role`, by name."""
    return {each.name: each for each in made if each.type == f"aws:{kind}"}


def statements(text: str) -> list[dict[str, Any]]:
    """Return a policy's statements."""
    found: list[dict[str, Any]] = json.loads(text)["Statement"]
    return found


def actions(found: Iterable[dict[str, Any]]) -> set[str]:
    """Return all actions that statements name."""
    return {action for each in found for action in each["Action"]}
