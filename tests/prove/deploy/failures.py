"""Machines that lose their power under load: what clients and acknowledged writes cost.

Writes are the product's own: API keys with their entries in the audit trail. Rows of the index can be made again from
the chain. A host is killed as a whole, at any instruction; what it had written stays in this machine's page cache, so
that a lost fsync does not show here, while a lost commit, a torn failover and a client that was told a lie do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.infrastructure.writing import count, pause, writing
from tests.prove.deploy.leading import active_balancer, is_redundant, leader

if TYPE_CHECKING:
    from tests.prove.backups.figures import Figures
    from tests.prove.deploy.site import Site
    from tests.prove.deploy.variants import Variants

BEFORE, AFTER = 40, 40  # acknowledged writes that have to be seen before and after a fault
BACK_SECONDS = 240.0
MOST_SECONDS = 45.0


def prove(figures: Figures, site: Site, variants: Variants) -> None:
    """Cut the power of each kind of host that somebody would notice."""
    api = site.environment.hosts["api"][-1].name
    kinds = {"the leading database": leader(site)}
    if not variants.quick:
        kinds = {"an application host": api, "the active balancer": active_balancer(site), **kinds}
    for what, host in kinds.items():
        _cut(figures, site, variants, what, host)


def _cut(figures: Figures, site: Site, variants: Variants, what: str, host: str) -> None:
    asked = next(each.name for each in site.environment.hosts["api"] if each.name != host)
    out = variants.folder / f"cut-{host}.json"
    with site.load(out, variants.rate) as seen, writing(site.environment, asked, f"proof-{host}") as writer:
        assert writer.until(BEFORE, 60), f"the writer does not get on: {writer.said[-3:]}"
        cut_at = writer.writes[-1].ended
        site.run("fleet", "power-cut", host)
        assert writer.until(AFTER, BACK_SECONDS, after=cut_at), f"no writes after the cut: {writer.said[-3:]}"
        writer.listen(5)
    acknowledged = [each.id for each in writer.writes if each.id]
    silence = pause(writer.writes)
    site.run("fleet", "up", within=300)
    back = site.until(lambda: _is_whole(site), f"the fleet whole again after {host}", within=BACK_SECONDS)
    found = count(site.environment, asked, f"proof-{host}", acknowledged)
    moments = seen["failed_at"]
    silent = round(max(moments) - min(moments), 1) if moments else 0.0
    lost = len(found["lost"]) + len(found["untold"])
    figures.add(
        f"power cut of {what} ({host}): acknowledged writes lost, of {len(acknowledged)}", lost, "0", holds=lost == 0
    )
    figures.add(
        f"power cut of {what}: until writes, and until all clients, were served again",
        f"{silence.seconds:.1f} s; {silent:.1f} s: {seen['failed']} of {seen['requests']} requests failed",
        f"< {MOST_SECONDS:.0f} s",
        holds=max(silence.seconds, silent) < MOST_SECONDS,
    )
    figures.add(f"power cut of {what}: whole again by itself, once it had power", f"{back:.0f} s", "yes", holds=True)


def _is_whole(site: Site) -> bool:
    return is_redundant(site) and site.run("deploy", "status", "--json").returncode == 0
