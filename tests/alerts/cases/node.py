"""Cases of the Bitcoin node's alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Firing
from tests.alerts.series import CLUSTER, fires_when_due, series, silent

if TYPE_CHECKING:
    from tests.alerts.case import Case

HERE = {"cluster": CLUSTER}


def _node(answers: str, heights: str = "100x400") -> dict[str, str]:
    """Return what the writer says of the node, a standby, which has not asked it, and two processes of the API."""
    return {
        series("simplicity_node_up", "sync", "sync-1"): answers,
        series("simplicity_node_up", "sync", "sync-2"): "0x400",
        series("simplicity_api_node_height", "api", "api-1"): heights,
        series("simplicity_api_node_height", "api", "api-2"): "9x400",
    }


def _down() -> tuple[Case, ...]:
    firing = Firing(summary="The Bitcoin node of main does not answer the indexer (up is 0)", labels=HERE)
    return (
        *fires_when_due("BitcoinNodeDown", "it is gone", _node("1x2 0x20"), firing, due="5m"),
        *silent("BitcoinNodeDown", "it answers the writer", _node("1x20"), at="20m"),
    )


def _stuck() -> tuple[Case, ...]:
    name, since_two_minutes = "BitcoinNodeStuck", "99x3 100x400"
    firing = Firing(summary="The Bitcoin node of main answers, but stays at block 100", labels=HERE)
    return (
        *fires_when_due(name, "two hours", _node("1x400", since_two_minutes), firing, due="123m", interval="30s"),
        *silent(name, "it is down", _node("0x400", since_two_minutes), at="125m", interval="30s"),
        *silent(name, "it was asked for the first time an hour ago", _node("_x60 1x60", "_x60 100x60"), at="119m"),
    )


CASES: tuple[Case, ...] = (*_down(), *_stuck())
