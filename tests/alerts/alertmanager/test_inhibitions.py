"""Which alert hides which, as a real Alertmanager has it: for every cause and every alert, not only those meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from alerts import rulebook
from alerts.alertmanager import Receivers, Webhook, configuration
from alerts.inhibitions import FAULTS, INHIBITIONS
from alerts.model import Severity
from indexer.remote.node import Node
from indexer.remote.redis import RemoteRedis
from tests.alerts.delivery.servers import Server, alertmanager, http_server, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

API_AWAY = {
    "ApiDown",
    "ApiNotReady",
    "HighErrorRate",
    "HighResponseTime",
    "SlowResponses",
    "ApiAvailabilityBurn",
    "ApiLatencyBurn",
}
NOT_INDEXING = {"IndexerNotAdvancing", "IndexerLagging", "IndexingFreshnessBurn"}
HIDDEN: dict[str, set[str]] = {
    "NoApiInstance": API_AWAY,
    "DatabaseDown": NOT_INDEXING
    | (API_AWAY - {"ApiDown"})
    | {"DatabaseUnreachable", "ConnectionPoolFilling", "ConnectionPoolExhausted", "DatabaseConnectionsNearLimit"}
    | {"LongTransaction", "SqlLatencyBurn"},
    "BitcoinNodeDown": NOT_INDEXING | {"BitcoinNodeStuck"},
    "NoWriter": NOT_INDEXING | {"IndexerDown"},
    "IndexerNotAdvancing": NOT_INDEXING - {"IndexerNotAdvancing"},
    "CacheDown": {"RateLimiterDegraded"},
    "ConnectionPoolExhausted": {"ConnectionPoolFilling"},
    "AuthenticationFailures": {"FailedLogins"},
    "HighResponseTime": {"SlowResponses", "ApiLatencyBurn"},
    "HighErrorRate": {"ApiAvailabilityBurn"},
    "BackupTooOld": {"BackupFreshnessBurn"},
    "ReorgTooDeep": {"DeepReorg"},
    "DiskFull": {"DiskWillFill"},
    "BackupRepositoryAway": {"WalArchivingFailing"},
}
# What an alert has besides its name, so that everything that could be asked for is there and the same.
COMMON = {"instance": "one", "mountpoint": "/data", "pool": "reads"}
PAGES = {"severity": "critical"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with http_server("/") as receiver:
        text = configuration(Receivers(webhook=Webhook(url=receiver.url)))
        with alertmanager(tmp_path_factory.mktemp("inhibitions"), text) as running:
            yield running


def send(server: Server, *all_labels: Mapping[str, str]) -> None:
    now = datetime.now(UTC)
    times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
    server.post(*({"labels": dict(labels)} | times for labels in all_labels))


def hidden(server: Server, prefix: str) -> set[tuple[str, str]]:
    """Return cluster and name of the hidden alerts in clusters of this prefix."""
    return {
        (labels["cluster"], labels["alertname"])
        for each in server.alerts()
        if (labels := each["labels"])["cluster"].startswith(prefix) and each["status"]["inhibitedBy"]
    }


def settles(server: Server, prefix: str, wanted: set[tuple[str, str]], *, but: str = "") -> None:
    """Wait until just these are hidden, an alert that is left out aside."""
    found: set[tuple[str, str]] = set()

    def are() -> bool:
        nonlocal found
        found = {each for each in hidden(server, prefix) if each[1] != but}
        return found == wanted

    try:
        until(are, within=20)
    except AssertionError:
        raise AssertionError(f"not hidden: {wanted - found}; hidden: {found - wanted}") from None


def test_each_cause_hides_its_effects_and_nothing_else(server: Server) -> None:
    causes = {name for rule in FAULTS for name in rule.causes} - {"TargetDown"}
    assert causes == HIDDEN.keys()
    alerts = {each.name: dict(each.labels) for each in rulebook.alerts()} | {
        name: {} for names in HIDDEN.values() for name in names if not name.endswith("Burn")
    }
    for cause in sorted(causes):
        send(
            server,
            *({"alertname": cause, "cluster": f"{cause}/{name}", **COMMON, **PAGES} for name in alerts),
            *({"alertname": name, "cluster": f"{cause}/{name}", **COMMON, **own} for name, own in alerts.items()),
            # The same ones where nothing is wrong with the cause.
            *({"alertname": name, "cluster": f"{cause}/{name}/elsewhere", **COMMON} for name in HIDDEN[cause]),
        )
        # Two of a pair may be causes: whether the other one hides this one is told where that is the cause.
        settles(server, f"{cause}/", {(f"{cause}/{name}", name) for name in HIDDEN[cause]}, but=cause)


@pytest.mark.parametrize(
    ("cause", "effect", "differs"),
    [
        ("ConnectionPoolExhausted", "ConnectionPoolFilling", "instance"),
        ("ConnectionPoolExhausted", "ConnectionPoolFilling", "pool"),
        ("DiskFull", "DiskWillFill", "instance"),
        ("DiskFull", "DiskWillFill", "mountpoint"),
    ],
)
def test_a_cause_at_another_place_hides_nothing(server: Server, cause: str, effect: str, differs: str) -> None:
    here = f"elsewhere-{cause}-{differs}"
    labels = {"cluster": here, **COMMON}
    send(
        server,
        {"alertname": cause, **labels},
        {"alertname": effect, **labels, differs: "another"},
        {"alertname": effect, **labels},
    )
    until(lambda: (here, effect) in hidden(server, here), within=20)
    shown = [each["labels"] for each in server.alerts() if not each["status"]["inhibitedBy"]]
    assert {"alertname": effect, **labels, differs: "another"} in shown


@pytest.mark.parametrize(
    ("cause", "effect", "of_it", "of_another"),
    [
        ("CacheDown", "RemoteCallsSlow", ("remote", "redis"), ("remote", "bitcoin_node")),
        ("BitcoinNodeDown", "RemoteCallsSlow", ("remote", "bitcoin_node"), ("remote", "redis")),
        ("CacheDown", "TargetDown", ("job", "valkey"), ("job", "postgresql")),
        ("DatabaseDown", "TargetDown", ("job", "postgresql"), ("job", "valkey")),
    ],
)
def test_what_may_have_several_causes_is_hidden_where_it_is_of_this_one(
    server: Server, cause: str, effect: str, of_it: tuple[str, str], of_another: tuple[str, str]
) -> None:
    here = f"of-{cause}-{effect}-"
    send(
        server,
        *({"alertname": cause, "cluster": f"{here}{value}"} for _, value in (of_it, of_another)),
        *({"alertname": effect, "cluster": f"{here}{value}", label: value} for label, value in (of_it, of_another)),
    )
    settles(server, here, {(f"{here}{of_it[1]}", effect)})


def test_an_exporter_that_has_vanished_hides_no_page_of_the_database(server: Server) -> None:
    here = {"cluster": "vanished-exporter", "severity": "critical"}
    send(
        server,
        {**here, "alertname": "DatabaseDown", "vanished": "true"},
        {**here, "alertname": "HighErrorRate"},
        {**here, "alertname": "TargetDown", "job": "postgresql"},
    )
    settles(server, "vanished-", {("vanished-exporter", "TargetDown")})


def test_a_faster_tier_hides_the_slower_ones_of_its_own_objective(server: Server) -> None:
    def burn(cluster: str, slo: str, tier: str) -> dict[str, str]:
        return {"alertname": f"Burn{tier}", "cluster": cluster, "slo": slo, "tier": tier}

    pairs = [(first, second) for first in "1234" for second in "1234" if first != second]
    send(
        server,
        *(burn(f"tier-{one}{two}", "same", tier) for one, two in pairs for tier in (one, two)),
        *(burn(f"tier-apart-{one}{two}", f"of {tier}", tier) for one, two in pairs for tier in (one, two)),
    )
    settles(server, "tier-", {(f"tier-{one}{two}", f"Burn{max(one, two)}") for one, two in pairs})


def test_a_host_that_is_down_hides_warnings_of_its_services_but_no_page(server: Server) -> None:
    def on(host: str, **labels: str) -> dict[str, str]:
        return {"cluster": "host-a", **({"host": host} if host else {}), **labels}

    send(
        server,
        on("first", alertname="TargetDown", job="node", severity="warning"),
        on("first", alertname="TargetDown", job="postgresql", severity="warning"),
        on("first", alertname="SlowOnIt", job="api", severity="warning"),
        on("first", alertname="ApiDown", job="api", severity="critical"),
        on("second", alertname="SlowElsewhere", job="api", severity="warning"),
        on("", alertname="SlowSomewhere", job="api", severity="warning"),
        # Locally nothing has a host: two labels that are missing are no common host.
        {"cluster": "host-b", "alertname": "TargetDown", "job": "node", "severity": "warning"},
        {"cluster": "host-b", "alertname": "SlowThere", "job": "api", "severity": "warning"},
    )
    settles(server, "host-", {("host-a", "TargetDown"), ("host-a", "SlowOnIt")})
    shown = [each["labels"] for each in server.alerts() if not each["status"]["inhibitedBy"]]
    assert on("first", alertname="TargetDown", job="node", severity="warning") in shown


def test_no_cause_hides_what_is_more_severe_than_itself() -> None:
    severities: dict[str, set[Severity]] = {}
    for each in rulebook.alerts():
        severities.setdefault(each.name, set()).add(each.severity)
    for rule in FAULTS:
        for cause in severities.keys() & set(rule.causes) - {"TargetDown"}:
            for effect in severities.keys() & set(rule.effects):
                assert rank(severities[cause], min) >= rank(severities[effect], max), f"{cause} hides {effect}"


def test_each_inhibition_says_why_and_holds_within_one_cluster() -> None:
    for rule in INHIBITIONS:
        assert rule.reason
        assert "cluster" in rule.equal


async def test_the_remotes_that_inhibitions_name_are_those_that_the_api_calls_so() -> None:
    node, redis = Node("http://127.0.0.1:1"), RemoteRedis(SecretStr("redis://127.0.0.1:1"))
    asked = {matcher for rule in INHIBITIONS for matcher in rule.effect if matcher.startswith("remote=")}
    assert asked == {f'remote="{remote.guard.name}"' for remote in (node, redis)}
    await node.close()
    await redis.close()


def rank(found: set[Severity], which: Any) -> int:  # noqa: ANN401 - min or max
    order = [Severity.NONE, Severity.WARNING, Severity.CRITICAL]
    return int(which(order.index(each) for each in found))
