"""What has to be changed now and then, under load: certificates, secrets, machines."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from tests.prove.deploy.releases import unharmed

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from tests.prove.backups.figures import Figures
    from tests.prove.deploy.site import Site
    from tests.prove.deploy.variants import Variants

CERTIFICATE = "sudo openssl x509 -noout -serial -in /etc/simplicity/tls/host.pem"
SECRETS = ("database_reader_password", "cache_password")
HOST_SECONDS = 120.0
_ANSWERED = r'haproxy_server_http_responses_total{{proxy="api",server="{name}-[a-z]+",code="2xx"}} ([0-9.e+]+)'


def prove(figures: Figures, site: Site, variants: Variants) -> None:
    """Renew everything that is renewed in a year of operation."""
    _certificates(figures, site, variants.folder / "certificates.json", variants.rate)
    for name in () if variants.quick else SECRETS:
        _secret(figures, site, variants.folder / f"{name}.json", variants.rate, name)
    _host(figures, site, variants.folder / "host.json", variants.rate)


def _certificates(figures: Figures, site: Site, out: Path, rate: int) -> None:
    names = sorted({host.name for hosts in site.environment.hosts.values() for host in hosts})
    before = {name: site.ssh(name, CERTIFICATE) for name in names}
    with site.load(out, rate) as seen:
        site.done("deploy", "site", "--tags=certificates", "--rotate-certificates")
        served = _served(site)
    after = {name: site.ssh(name, CERTIFICATE) for name in names}
    figures.count(
        "hosts whose certificate is another one", sum(before[name] != after[name] for name in names), len(names)
    )
    balancers = {after[host.name] for host in site.environment.hosts["balancer"]}
    figures.add("the certificate that clients are shown", served, "a new one", holds=served in balancers)
    unharmed(figures, "all certificates were rotated", seen)


def _served(site: Site) -> str:
    host = site.environment.endpoints.api.removeprefix("https://").partition(":")[0]
    return site.ssh(
        site.environment.hosts["monitoring"][0].name,
        f"openssl s_client -connect {host}:443 < /dev/null 2> /dev/null | openssl x509 -noout -serial",
    )


def _secret(figures: Figures, site: Site, out: Path, rate: int, name: str) -> None:
    with site.load(out, rate) as seen:
        site.done("infrastructure", "rotate-secret", name)
    ready = [site.done("deploy", "status")["good"]]
    figures.count(f"{name} rotated, and everything serves", sum(ready), 1)
    unharmed(figures, f"{name} was rotated", seen)


def _host(figures: Figures, site: Site, out: Path, rate: int) -> None:
    old = site.environment.hosts["api"][0].name
    before = {host.name for host in site.environment.hosts["api"]}
    with site.load(out, rate) as seen:
        began = time.monotonic()
        scaling = site.begin("infrastructure", "scale", "api", "3")
        seconds = site.until(lambda: _answers(site, before), "a further host answers", within=600)
        assert scaling.wait(600) == 0, "scaling out has failed: `simplicity runbook list`"
        ended = time.monotonic() - began
        site.done("infrastructure", "scale", "api", "2", f"--remove={old}", within=900)
    left = [host.name for host in site.environment.hosts["api"]]
    figures.add(
        f"{old} replaced by a fresh host",
        ", ".join(left),
        "two hosts, another one",
        holds=old not in left and len(left) == 2,
    )
    figures.add(
        "a further host that answers clients",
        f"{seconds:.0f} s (the command ended after {ended:.0f})",
        f"< {HOST_SECONDS:.0f} s",
        holds=seconds < HOST_SECONDS,
    )
    unharmed(figures, "a host was replaced", seen)


def _answers(site: Site, before: AbstractSet[str]) -> bool:
    """Say whether a balancer has had an answer from a host that was not there before."""
    fresh = {host.name for host in site.environment.hosts["api"]} - before
    return any(
        float(count)
        for name in fresh
        for balancer in site.environment.hosts["balancer"]
        for count in re.findall(_ANSWERED.format(name=re.escape(name)), site.balancer_metrics(balancer.address))
    )
