"""Cases of the index's alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Firing
from tests.alerts.series import CLUSTER, fires, fires_when_due, growing, labels, series, silent, up, vanishes

if TYPE_CHECKING:
    from tests.alerts.case import Case

HERE = {"cluster": CLUSTER}
SYNC = labels("sync", "sync-1")


def _down() -> tuple[Case, ...]:
    given = {up("sync", "sync-1"): "1x2 0x10", up("sync", "sync-2"): "1x20", up("api", "api-1"): "0x20"}
    firing = Firing(summary="sync-1 of main does not answer (up is 0)", labels=SYNC)
    gone = {up("sync", "sync-1"): "1x2 stale", up("api", "api-1"): "1x20"}
    return (
        *fires_when_due("IndexerDown", "one of two does not answer", given, firing, due="150s", interval="30s"),
        *vanishes("IndexerDown", 'up{job="sync"}', gone, due="150s", interval="30s", job="sync"),
    )


def _role(instance: str, state: str) -> str:
    return series("simplicity_sync_role", "sync", instance, simplicity_sync_role=state)


def _no_writer() -> tuple[Case, ...]:
    standby = {_role("sync-2", "writer"): "0x20", _role("sync-2", "standby"): "1x20"}
    given = {_role("sync-1", "writer"): "1x2 0x10", _role("sync-1", "starting"): "0x2 1x10"} | standby
    gone = {_role("sync-1", "writer"): "1x2 stale", _role("sync-2", "standby"): "1x20"}
    writer = {"simplicity_sync_role": "writer"}
    return (
        *fires_when_due(
            "NoWriter",
            "none of two writes",
            given,
            Firing(summary="0 processes write the index of main", labels=HERE),
            due="5m",
        ),
        *silent("NoWriter", "one of two stands by", {_role("sync-1", "writer"): "1x20"} | standby, at="20m"),
        *vanishes("NoWriter", 'simplicity_sync_role{simplicity_sync_role="writer"}', gone, due="5m", **writer),
    )


def _seen(lags: tuple[str, str], tips: tuple[str, str]) -> dict[str, str]:
    """Return what two processes of the API see."""
    found: dict[str, str] = {}
    for name, lag, tip in zip(("api-1", "api-2"), lags, tips, strict=True):
        found |= {series("simplicity_api_lag_blocks", "api", name): lag}
        found |= {series("simplicity_api_tip_height", "api", name): tip}
    return found


def _not_advancing() -> tuple[Case, ...]:
    name = "IndexerNotAdvancing"
    stops, moves, stands = growing((10, 1), (40, 0)), growing((50, 1)), "10x50"
    firing = Firing(summary="The index of main stands still, 1 blocks behind the node", labels=HERE)
    return (
        *fires_when_due(
            name, "ten minutes after its last block", _seen(("1x50", "2x50"), (stops, stops)), firing, due="20m"
        ),
        *silent(name, "the node has no more blocks", _seen(("0x50", "0x50"), (stands, stands)), at="30m"),
        *silent(name, "it catches up", _seen(("9x50", "9x50"), (moves, moves)), at="30m"),
        *silent(name, "one process sees an old tip", _seen(("0x50", "3x50"), (stands, stands)), at="30m"),
        *silent(name, "one process sees it move", _seen(("3x50", "9x50"), (moves, stands)), at="30m"),
        *silent(
            name, "a block has just come after a long time", _seen(("0x20 1x9", "0x20 1x9"), (stands, stands)), at="25m"
        ),
    )


def _lagging() -> tuple[Case, ...]:
    name, still = "IndexerLagging", ("10x50", "10x50")
    firing = Firing(summary="The index of main is 2 blocks behind the node", labels=HERE)
    return (
        *fires_when_due(name, "two blocks", _seen(("0x4 2x40", "0x4 3x40"), still), firing, due="15m"),
        *silent(name, "one block", _seen(("1x40", "1x40"), still), at="30m"),
        *silent(name, "by the word of one process alone", _seen(("0x40", "9x40"), still), at="30m"),
    )


def _reorgs() -> tuple[Case, ...]:
    too_deep = {
        series("simplicity_reorg_too_deep", "sync", "sync-1"): "0x2 1x10",
        series("simplicity_reorg_too_deep", "sync", "sync-2"): "0x20",
    }
    text = "The node's chain left that of sync-1 in main below what can be taken back"
    name = "DeepReorg"
    firing = Firing(summary="sync-1 in main took 4 blocks back", labels=SYNC)
    deep = _reorg("0x9 4x99", "0x9 1x99")
    return (
        *fires_when_due(
            "ReorgTooDeep", "of one of two", too_deep, Firing(summary=text, labels=SYNC), due="150s", interval="30s"
        ),
        *fires_when_due(name, "four blocks", deep, firing, due="10m"),
        *fires(name, "four blocks, three quarters of an hour ago", deep, firing, at="55m"),
        *silent(name, "four blocks, more than an hour ago", deep, at="75m"),
        *silent(name, "three blocks", _reorg("0x9 3x99", "0x9 1x99"), at="10m"),
    )


def _reorg(depth: str, count: str) -> dict[str, str]:
    return {
        series("simplicity_last_reorg_depth", "sync", "sync-1"): depth,
        series("simplicity_reorgs_total", "sync", "sync-1"): count,
    }


def _wrong() -> tuple[Case, ...]:
    given = {
        series("simplicity_state_hash_mismatch", "backup", "backup-1"): "0x2 1x10",
        series("simplicity_state_hash_mismatch", "backup", "backup-2"): "0x20",
    }
    text = "The index of main contradicts the state that was recorded of one of its blocks"
    firing = Firing(summary=text, labels=labels("backup", "backup-1"))
    return fires_when_due("StateHashMismatch", "by one of two agents", given, firing, due="150s", interval="30s")


CASES: tuple[Case, ...] = (*_down(), *_no_writer(), *_not_advancing(), *_lagging(), *_reorgs(), *_wrong())
