"""All dashboards: a file in `boards/` gives one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dashboards.model import Dashboard

# As a person looks: what is wrong, then the parts, then what is there for the long run.
ORDER = ("overview", "slo", "api", "indexer", "database", "bitcoin-node", "hosts", "backups", "load-test")


class UnknownDashboardError(Exception):
    """There is no dashboard of this uid: one line that names those there are."""


@cache
def dashboards() -> tuple[Dashboard, ...]:
    """Return all dashboards, in the order of ORDER, new ones behind. Raises ValueError where two have the same uid."""
    from dashboards import boards as folder  # noqa: PLC0415 - whoever asks for the order alone reads no definitions

    found: dict[str, Dashboard] = {}
    for module in pkgutil.iter_modules(folder.__path__):
        board: Dashboard = importlib.import_module(f"{folder.__name__}.{module.name}").DASHBOARD
        if board.uid in found:
            raise ValueError(f"two dashboards have the uid {board.uid}; a uid never changes and is never shared")
        found[board.uid] = board
    return tuple(sorted(found.values(), key=lambda board: _place(board.uid)))


def dashboard(uid: str) -> Dashboard:
    """Return the dashboard of this uid. Raises UnknownDashboardError."""
    for board in dashboards():
        if board.uid == uid:
            return board
    raise UnknownDashboardError(
        f"there is no dashboard {uid!r}; there are {', '.join(board.uid for board in dashboards())}"
    )


def _place(uid: str) -> tuple[int, str]:
    return (ORDER.index(uid) if uid in ORDER else len(ORDER), uid)
