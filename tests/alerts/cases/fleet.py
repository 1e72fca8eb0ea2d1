"""Cases of the alerts of what only a fleet has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Firing
from tests.alerts.series import CLUSTER, fires, fires_when_due, labels, series, silent, up, vanishes

if TYPE_CHECKING:
    from tests.alerts.case import Case

DAY = 86_400
SCOPE = {"cluster": CLUSTER, "scope": "books"}


# --- certificates ----------------------------------------------------------------------------------------------------
def _ends(at: float, *, moves: int = 0, path: str = "/etc/simplicity/tls/host.pem") -> dict[str, str]:
    """Return when two certificates end; the clock of a case begins at 0, and the other one has a year.

    `moves`: seconds by which its end moves each minute; by 60 it always has as much left.
    """
    name = "simplicity_certificate_expires_timestamp_seconds"
    return {
        series(name, "node", "db1", path=path): f"{at:.0f}+{moves}x200",
        series(name, "node", "db2", path=path): f"{365 * DAY}x200",
    }


def _certificate(left: str, more: str = "") -> Firing:
    path = "/etc/simplicity/tls/host.pem"
    return Firing(summary=f"{path} of db1 in main ends in {left}{more}", labels=labels("node", "db1", path=path))


def _expiring() -> tuple[Case, ...]:
    name, metric = "CertificateExpiring", "simplicity_certificate_expires_timestamp_seconds"
    soon = _certificate("29d 22h 59m 59s")
    gone = {series(metric, "node", "db1", path="p"): "9e9x2 stale", up("node", "db1"): "1x200"}
    return (
        *fires_when_due(name, "less than 30 days left", _ends(30 * DAY - 1), soon, due="60m"),
        *silent(name, "30 days left", _ends(30 * DAY, moves=60), at="90m"),
        *vanishes(name, metric, gone, due="63m"),
    )


def _about_to() -> tuple[Case, ...]:
    name = "CertificateAboutToExpire"
    soon = _certificate("2d 23h 49m 59s", ", and nobody has renewed it")
    return (
        *fires_when_due(name, "less than three days left", _ends(3 * DAY - 1), soon, due="10m"),
        *silent(name, "three days left", _ends(3 * DAY, moves=60), at="20m"),
    )


# --- who leads -------------------------------------------------------------------------------------------------------
def _patroni(name: str, **values: str) -> dict[str, str]:
    """Return what Patroni says on servers of one cluster of databases, and on one of another that is well."""
    found = {series(name, "patroni", instance, scope="books", name=instance): each for instance, each in values.items()}
    fine = {"patroni_primary": "1x200", "patroni_sync_standby": "1x200"}
    return found | {series(name, "patroni", "other", scope="other", name="other"): fine.get(name, "0x200")}


def _leadership() -> tuple[Case, ...]:
    name = "DatabaseLeadership"
    none = Firing(summary="0 database servers lead in main", labels=SCOPE)
    two = Firing(summary="2 database servers lead in main", labels=SCOPE)
    gone = {series("patroni_primary", "patroni", "db1", scope="books"): "1x2 stale", up("patroni", "db1"): "0x20"}
    due, interval = "150s", "30s"
    return (
        *fires_when_due(
            name,
            "nobody leads",
            _patroni("patroni_primary", db1="1x2 0x9", db2="0x20"),
            none,
            due=due,
            interval=interval,
        ),
        *fires_when_due(
            name, "two lead", _patroni("patroni_primary", db1="1x20", db2="0x2 1x9"), two, due=due, interval=interval
        ),
        *fires(
            name,
            "the leader's host is gone",
            _patroni("patroni_primary", db1="1x2 stale", db2="0x20"),
            none,
            at="3m",
            interval=interval,
        ),
        *silent(
            name, "they change", _patroni("patroni_primary", db1="1x2 0x20", db2="0x3 1x20"), at="3m", interval=interval
        ),
        *vanishes(name, "patroni_primary", gone, due="150s", interval=interval),
    )


def _paused() -> tuple[Case, ...]:
    name = "FailoverPaused"
    firing = Firing(summary="Failover of the database is paused in main", labels=SCOPE)
    return (
        *fires_when_due(
            name, "all say so", _patroni("patroni_is_paused", db1="0x2 1x60", db2="0x2 1x60"), firing, due="33m"
        ),
        *fires(name, "one says so", _patroni("patroni_is_paused", db1="1x60", db2="0x60"), firing, at="40m"),
        *silent(name, "nobody says so", _patroni("patroni_is_paused", db1="0x60", db2="0x60"), at="50m"),
    )


def _votes() -> tuple[Case, ...]:
    name = "EtcdMemberDown"
    text = "db1, one of the votes on who leads in main, does not answer"
    given = {up("etcd", "db1"): "1x2 0x20", up("etcd", "db2"): "1x20", up("etcd", "mon1"): "1x20"}
    others = {up("etcd", "db1"): "1x20", up("node", "db1"): "0x20"}
    gone = {up("etcd", "db1"): "1x2 stale", up("node", "db1"): "1x20"}
    return (
        *fires_when_due(name, "one of three", given, Firing(summary=text, labels=labels("etcd", "db1")), due="5m"),
        *silent(name, "another target of its host", others, at="15m"),
        *vanishes(name, 'up{job="etcd"}', gone, due="5m", job="etcd"),
    )


# --- standbys --------------------------------------------------------------------------------------------------------
def _standby() -> tuple[Case, ...]:
    name = "NoDatabaseStandby"
    firing = Firing(summary="No server of main could take over the database without loss", labels=SCOPE)
    return (
        *fires_when_due(
            name, "it lost its place", _patroni("patroni_sync_standby", db1="0x20", db2="1x2 0x20"), firing, due="8m"
        ),
        *fires(
            name, "its host is gone", _patroni("patroni_sync_standby", db1="0x20", db2="1x2 stale"), firing, at="10m"
        ),
        *silent(name, "one of them is", _patroni("patroni_sync_standby", db1="0x20", db2="1x20"), at="15m"),
    )


def _places(leader: str, standby: str, *, replica: str = "1x20") -> dict[str, str]:
    """Return how far the leader has written and the standby has replayed; the leader itself replays nothing."""
    return (
        _patroni("patroni_xlog_location", db1=leader, db2="0x20")
        | _patroni("patroni_xlog_replayed_location", db1="0x20", db2=standby)
        | _patroni("patroni_replica", db1="0x20", db2=replica)
    )


def _lagging() -> tuple[Case, ...]:
    name, segment = "ReplicationLagging", 16_777_216
    of_it = labels("patroni", "db2", scope="books", name="db2")
    firing = Firing(summary="db2 is 17.17MiB behind the leader of the database in main", labels=of_it)
    behind = f"50000000x2 {50_000_000 - 18_000_000}x9"
    return (
        *fires_when_due(name, "more than a segment", _places("50000000x20", behind), firing, due="5m"),
        *silent(name, "a segment", _places("50000000x20", f"{50_000_000 - segment}x20"), at="10m"),
        *silent(name, "it leads by now", _places("50000000x20", behind, replica="0x20"), at="10m"),
    )


def _roles(first: str, second: str) -> dict[str, str]:
    found = {}
    for name, standby in (("app1", first), ("app2", second)):
        found[series("simplicity_sync_role", "sync", name, simplicity_sync_role="standby")] = standby
        found[series("simplicity_sync_role", "sync", name, simplicity_sync_role="starting")] = "0x30"
    return found | {series("simplicity_sync_role", "sync", "app1", simplicity_sync_role="writer"): "1x30"}


def _second_indexer() -> tuple[Case, ...]:
    name = "NoIndexerStandby"
    text = "No process of main would go on where the writer of the index stops"
    firing = Firing(summary=text, labels={"cluster": CLUSTER})
    return (
        *fires_when_due(name, "there is only the writer", _roles("0x30", "1x2 0x30"), firing, due="13m"),
        *silent(name, "another one stands by", _roles("0x30", "1x30"), at="25m"),
    )


# --- hosts -----------------------------------------------------------------------------------------------------------
def _addresses(first: str, second: str) -> dict[str, str]:
    """Return which balancers hold the virtual address; all have one of their own."""
    found = {up("haproxy", "lb1"): "1x20", up("haproxy", "lb2"): "1x20"}
    for name, held in (("lb1", first), ("lb2", second)):
        found[series("node_network_address_info", "node", name, address="10.0.0.9")] = "1x20"
        if held:
            found[series("node_network_address_info", "node", name, address="10.0.0.1", virtual="true")] = held
    return found


def _virtual() -> tuple[Case, ...]:
    name, of_it = "VirtualAddressFault", {"cluster": CLUSTER}
    none = Firing(summary="0 balancers of main hold the address that clients know", labels=of_it)
    two = Firing(summary="2 balancers of main hold the address that clients know", labels=of_it)
    due, interval = "150s", "30s"
    away = {up("haproxy", "lb1"): "0x20", up("haproxy", "lb2"): "0x20", up("node", "lb1"): "1x20"}
    return (
        *fires_when_due(name, "nobody holds it", _addresses("1x2 stale", ""), none, due=due, interval=interval),
        *fires_when_due(name, "two hold it", _addresses("1x20", "_x3 1x9"), two, due=due, interval=interval),
        *fires(name, "no balancer runs, and nobody holds it", away, none, at="3m", interval=interval),
        *silent(name, "it has moved", _addresses("1x2 stale", "_x3 1x20"), at="5m", interval=interval),
        *silent(
            name,
            "there is no balancer",
            {series("node_network_address_info", "node", "db1", address="10.0.0.9"): "1x20", up("node", "db1"): "1x20"},
            at="5m",
            interval=interval,
        ),
    )


def _units(state: str, values: str) -> dict[str, str]:
    return {
        series("node_systemd_unit_state", "node", "db1", name="patroni.service", state=state, type="notify"): values,
        series("node_systemd_unit_state", "node", "db1", name="ssh.service", state="failed", type="notify"): "0x30",
    }


def _failed() -> tuple[Case, ...]:
    name = "UnitFailed"
    more = {"name": "patroni.service", "state": "failed", "type": "notify"}
    firing = Firing(summary="patroni.service of db1 in main has failed", labels=labels("node", "db1", **more))
    return (
        *fires_when_due(name, "one has", _units("failed", "0x2 1x20"), firing, due="8m"),
        *silent(name, "it is active, or stopped", _units("active", "1x30"), at="20m"),
    )


CASES = (
    *_expiring(),
    *_about_to(),
    *_leadership(),
    *_paused(),
    *_votes(),
    *_standby(),
    *_lagging(),
    *_second_indexer(),
    *_virtual(),
    *_failed(),
)
