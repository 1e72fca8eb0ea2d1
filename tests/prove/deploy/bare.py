"""From bare hosts to an environment that serves, and again without a change."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.prove.backups.figures import Figures
    from tests.prove.deploy.site import Site
    from tests.prove.deploy.variants import Variants

MOST, SECOND_MOST = 480.0, 240.0
INDEXED_SECONDS = 120.0


def prove(figures: Figures, site: Site, variants: Variants) -> None:
    """Check, bring up, check that a second run finds nothing to do, and make the backup that releases ask for."""
    site.done("deploy", "keys")
    release = variants.build("current")
    checked = site.done("deploy", "site", f"--release={release}", "--check", within=900)
    figures.add("check mode on bare hosts", checked["failed"] or "green", "green", holds=not checked["failed"])
    began = time.monotonic()
    site.done("deploy", "site", f"--release={release}", within=1200)
    site.until(lambda: _serves(site), "the API serves what sync has indexed", within=INDEXED_SECONDS)
    seconds = time.monotonic() - began
    what = "bare hosts to an API that serves"
    variants.timed(figures, what, f"{seconds:.0f} s", f"< {MOST:.0f} s, aim 300", holds=seconds < MOST)
    again = site.done("deploy", "site", within=900)
    figures.add(
        "changed by a second run", f"{again['changes']}: {again['changed']}"[:200], "0", holds=again["changes"] == 0
    )
    took = float(again["seconds"])
    wanted = f"< {SECOND_MOST:.0f} s, aim 120"
    variants.timed(figures, "a second run", f"{took:.0f} s", wanted, holds=took < SECOND_MOST)


def _serves(site: Site) -> bool:
    try:
        status = site.get("/v1/indexer/brc20/status")
    except AssertionError:
        return False
    return int(status["last_indexed_block_main_chain"]) > site.environment.start_height
