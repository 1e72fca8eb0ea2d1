"""What each role promises, asserted on the hosts."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.prove.deploy.variants import ROOT

if TYPE_CHECKING:
    from tests.prove.backups.figures import Figures
    from tests.prove.deploy.site import Site
    from tests.prove.deploy.variants import Variants


def prove(figures: Figures, site: Site, variants: Variants) -> None:
    """Run the testinfra suites inside of the fleet's network."""
    del variants
    command = [sys.executable, "-m", "pytest", "-q", "-m", "fleet", "tests/fleet", "-p", "no:cacheprovider"]
    done = subprocess.run(
        site.inside(*command), check=False, capture_output=True, text=True, timeout=1200, cwd=ROOT, env=site.settings
    )
    last = (done.stdout.strip().splitlines() or [done.stderr[-300:]])[-1]
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    what = "promises of the roles, asserted on live hosts"
    figures.add(what, f"{last} {' '.join(failed)}".strip(), "all passed", holds=done.returncode == 0)
