"""Settings of an environment in the cloud: read by their types, compared, kept; and what puts them in force."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra import overrides
from runbooks.drivers.protocols import Refusal
from runbooks.infrastructure import changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.environment import Environment

MANAGED = frozenset({"aurora", "rds"})
PLUGIN = "session-manager-plugin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What differs, whether it was written, and what puts it in force."""

    lines: tuple[str, ...]
    written: bool
    applied_by: str


def update(environment: Environment, wanted: Mapping[str, str | None], *, only_plan: bool) -> Update:
    """Compare settings with those that are kept, and keep them unless it is only a plan.

    Raises ChangeError for one that may not be changed, Refusal where this environment has another way for it.
    """
    found = changes.sorted_out(wanted)
    driver = environment.drivers.get("failover")
    if found.database and driver is not None and driver.kind in MANAGED:
        raise Refusal(
            f"{', '.join(found.database)}: parameters of a managed database are the stack's, in its parameter group:"
            " infra/cloud/tiers, then `pulumi up`"
        )
    file = _file(environment)
    before = overrides.read(file) if file is not None else overrides.NONE
    after = changes.changed(before, found)
    lines = tuple(changes.differences(before, after))
    if not lines:
        raise Refusal("all of it is set so already")
    if not only_plan:
        if file is None:
            raise Refusal(
                f"the document of {environment.name} names no file for settings (its driver overrides): nothing is kept"
            )
        overrides.write(file, after)
    return Update(lines=lines, written=not only_plan, applied_by=_way(environment))


def _file(environment: Environment) -> Path | None:
    driver = environment.drivers.get("overrides")
    return Path(driver.settings["file"]) if driver is not None and "file" in driver.settings else None


def _way(environment: Environment) -> str:
    """Say what puts settings in force, and what that still lacks here."""
    way = "`ansible-playbook indexer.yaml`, a host at a time, over Systems Manager"
    driver = environment.drivers.get("hosts")
    if driver is None or driver.kind != "ssm":
        return way
    lacking = [
        *(() if driver.settings.get("bucket") else ("the document names no bucket for its files",)),
        *(() if shutil.which(PLUGIN) else (f"{PLUGIN} is not on PATH",)),
    ]
    return f"{way}; it cannot be run from here yet: {'; '.join(lacking)}" if lacking else way
