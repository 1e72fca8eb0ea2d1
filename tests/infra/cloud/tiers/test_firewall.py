from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from infra.cloud.tiers.firewall import Firewall, FirewallArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

ANYWHERE = "0.0.0.0/0"
PRIVATE = ("10.20.48.0/20", "10.20.64.0/20", "10.20.80.0/20")
INSIDE = "10.20.0.0/16"


def groups(planned: Planned, site: Site) -> dict[str, dict[str, Any]]:
    def program() -> None:
        Firewall("firewall", FirewallArgs(site=site, vpc_id="vpc-1", vpc_cidr=INSIDE, private_cidrs=PRIVATE))

    return {each.name: each.inputs for each in planned(program)}


def who(rules: list[dict[str, Any]]) -> set[tuple[int, str]]:
    """Return the port and the source or target of each rule; a group by its name."""
    return {
        (rule["fromPort"], source.removesuffix("-id"))
        for rule in rules
        for source in [
            *rule.get("cidrBlocks", ()),
            *rule.get("securityGroups", ()),
            *(["itself"] if rule.get("self") else []),
        ]
    }


def test_only_the_balancer_is_open_to_the_world_and_only_for_the_web(planned: Planned, site: Site) -> None:
    opened = {
        (name, port)
        for name, group in groups(planned, site).items()
        for port, source in who(group["ingress"])
        if source == ANYWHERE
    }
    assert opened == {("balancer", 80), ("balancer", 443)}


def test_only_those_whom_the_settings_allow_reach_the_balancer(planned: Planned, at: Places) -> None:
    found = groups(planned, at(balancer={"allowed": ["192.0.2.0/24", "198.51.100.0/24"]}))
    assert {source for _, source in who(found["balancer"]["ingress"])} == {"192.0.2.0/24", "198.51.100.0/24"}


@pytest.mark.parametrize("kind", ["aurora", "rds", "patroni"])
def test_nothing_has_ssh_open_and_every_rule_says_its_ports_and_why(planned: Planned, at: Places, kind: str) -> None:
    for group in groups(planned, at(database={"kind": kind, "readers": 0})).values():
        for rule in [*group["ingress"], *group["egress"]]:
            assert rule["protocol"] == "tcp"
            assert rule["fromPort"] == rule["toPort"]
            assert rule["fromPort"] != 22
            assert rule["description"]


@pytest.mark.parametrize("kind", ["aurora", "rds", "patroni"])
def test_no_description_has_a_character_that_ec2_refuses(planned: Planned, at: Places, kind: str) -> None:
    for group in groups(planned, at(database={"kind": kind, "readers": 0})).values():
        for each in [group, *group["ingress"], *group["egress"]]:
            assert re.fullmatch(r"[0-9A-Za-z_ .:/()#,@\[\]+=&;{}!$*-]{1,255}", each["description"]), each["description"]


def test_who_is_let_in_where(planned: Planned, site: Site) -> None:
    found = {name: who(group["ingress"]) for name, group in groups(planned, site).items()}
    assert found["api"] == {
        (8441, "balancer"), (8442, "balancer"), (8441, "monitoring"), (8442, "monitoring"), (9100, "monitoring"),
    }  # fmt: skip
    assert found["sync"] == {(9102, "monitoring"), (9100, "monitoring")}
    assert found["node"] == {(8332, "api"), (8332, "sync"), (9100, "monitoring")}
    assert found["database"] == {(5432, "api"), (5432, "sync"), (5432, "monitoring")}
    assert found["cache"] == {(6379, "api"), (6379, "sync"), (6379, "monitoring")}
    assert found["endpoints"] == {(443, "api"), (443, "sync"), (443, "node"), (443, "monitoring")}
    assert found["monitoring"] == set()


def test_the_balancer_reaches_the_api_alone(planned: Planned, site: Site) -> None:
    found = groups(planned, site)["balancer"]
    assert who(found["egress"]) == {(port, network) for port in (8441, 8442) for network in PRIVATE}


def test_amazon_s_database_and_cache_start_no_connection(planned: Planned, site: Site) -> None:
    found = groups(planned, site)
    assert found["database"]["egress"] == found["cache"]["egress"] == found["endpoints"]["egress"] == []


def test_hosts_reach_the_world_by_https_alone_and_the_node_its_peers(planned: Planned, site: Site) -> None:
    out = {
        (name, port)
        for name, group in groups(planned, site).items()
        for port, target in who(group["egress"])
        if target == ANYWHERE
    }
    assert out == {("api", 443), ("sync", 443), ("node", 443), ("node", 8333), ("monitoring", 443)}


def test_patroni_s_hosts_speak_among_themselves_and_nobody_else_does(planned: Planned, at: Places) -> None:
    found = groups(planned, at(database={"kind": "patroni"}))
    among = {(port, "itself") for port in (5432, 8008, 2379, 2380)}
    assert among <= who(found["database"]["ingress"])
    assert {source for port, source in who(found["database"]["ingress"]) if port in {2379, 2380}} == {"itself"}
    assert (443, "database") in who(found["endpoints"]["ingress"])
    assert (6432, INSIDE) in who(found["api"]["egress"])


def test_a_node_elsewhere_is_reached_at_its_port(planned: Planned, at: Places) -> None:
    found = groups(planned, at(node={"kind": "external", "url": "http://node.example.com:8332"}))
    assert (8332, ANYWHERE) in who(found["sync"]["egress"])
    by_https = groups(planned, at(node={"kind": "external", "url": "https://node.example.com"}))
    assert {port for port, target in who(by_https["sync"]["egress"]) if target == ANYWHERE} == {443}


def test_another_chain_has_its_own_ports(planned: Planned, at: Places) -> None:
    found = groups(planned, at(chain="signet"))
    assert (38332, "sync") in who(found["node"]["ingress"])
    assert (38333, ANYWHERE) in who(found["node"]["egress"])


@pytest.mark.parametrize("kind", ["aurora", "patroni"])
def test_what_a_group_may_reach_lets_it_in(planned: Planned, at: Places, kind: str) -> None:
    found = groups(planned, at(database={"kind": kind}))
    let_in = {(port, source) for group in found.values() for port, source in who(group["ingress"])}
    for name in ("api", "sync", "monitoring"):
        for port, target in who(found[name]["egress"]):
            if target != ANYWHERE:
                assert (port, name) in let_in, f"{name} may speak to {port}, which nobody opens to it"
