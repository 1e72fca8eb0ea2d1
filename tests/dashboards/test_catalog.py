"""Every file in boards/ is a dashboard, with a uid of its own that never changes."""

from __future__ import annotations

import pkgutil
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from dashboards import boards
from dashboards.catalog import UnknownDashboardError, dashboard, dashboards
from dashboards.witnesses import WITNESSES

if TYPE_CHECKING:
    from collections.abc import Iterator

# Runbooks, alerts and bookmarks name them.
UIDS = ("overview", "slo", "api", "indexer", "database", "bitcoin-node", "hosts", "backups", "load-test")


@pytest.fixture
def _afresh() -> Iterator[None]:
    dashboards.cache_clear()
    yield
    dashboards.cache_clear()


def test_the_uids_are_those_that_others_name() -> None:
    assert tuple(board.uid for board in dashboards()) == UIDS


def test_a_dashboard_is_found_by_its_uid() -> None:
    assert dashboard("api").title == "API"


def test_an_unknown_dashboard_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(UnknownDashboardError, match="there is no dashboard 'nobody'; there are overview, slo, api"):
        dashboard("nobody")


@pytest.mark.usefixtures("_afresh")
def test_two_dashboards_with_one_uid_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = ModuleType("dashboards.boards.copy")
    vars(copy)["DASHBOARD"] = dashboard("api")
    monkeypatch.setitem(sys.modules, copy.__name__, copy)
    dashboards.cache_clear()
    found = [*pkgutil.iter_modules(boards.__path__)]
    monkeypatch.setattr(pkgutil, "iter_modules", lambda _: [*found, found[0]._replace(name="copy")])
    with pytest.raises(ValueError, match="two dashboards have the uid api"):
        dashboards()


def test_each_dashboard_has_few_panels_that_fill_a_screen_or_two() -> None:
    assert {board.uid: len(board.panels) for board in dashboards() if not 6 <= len(board.panels) <= 11} == {}


def test_no_witness_is_named_that_nobody_carries_out() -> None:
    assert {panel.witness for board in dashboards() for panel in board.panels} <= WITNESSES.keys()
