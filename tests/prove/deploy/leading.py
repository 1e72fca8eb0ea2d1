"""Who does what in the fleet at this moment."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.prove.deploy.site import Site

PATRONI = ("sudo", "patronictl", "-c", "/etc/patroni/config.yml", "list", "--format", "json")


def members(site: Site) -> list[dict[str, str]]:
    """Return the servers of the database, as whoever of them answers knows them."""
    for host in site.environment.hosts["database"]:
        with suppress(AssertionError, ValueError):
            found: list[dict[str, str]] = json.loads(site.ssh(host.name, *PATRONI))
            return found
    return []


def leader(site: Site) -> str:
    """Return the host whose database takes writes."""
    found = [each["Member"] for each in members(site) if each["Role"] == "Leader"]
    assert found, "no database leads"
    return found[0]


def is_redundant(site: Site) -> bool:
    """Say whether a second database has every commit before it is acknowledged."""
    return sorted(each["Role"] for each in members(site)) == ["Leader", "Sync Standby"]


def active_balancer(site: Site) -> str:
    """Return the balancer that has the virtual address."""
    virtual = site.environment.endpoints.api.removeprefix("https://").partition(":")[0]
    for host in site.environment.hosts["balancer"]:
        if f" {virtual}/" in site.ssh(host.name, "ip", "-4", "-oneline", "address"):
            return host.name
    raise AssertionError(f"no balancer has {virtual}")
