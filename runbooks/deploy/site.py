"""An environment as its inventory says: from bare hosts to all of it running, or what differs from that."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runbooks.deploy.errors import DeployError
from runbooks.deploy.keys import paths, trust
from runbooks.deploy.manifest import verify
from runbooks.deploy.playing import Played, Request, facts_of, play
from runbooks.deploy.store import store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from infra.environment import Environment

PLAYBOOK = "site.yaml"


@dataclass(frozen=True, slots=True)
class Brought:
    """How it ended."""

    played: Played
    seconds: float
    checked: bool

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self.played) | {"changes": self.played.changes, "seconds": self.seconds, "checked": self.checked}

    @property
    def text(self) -> str:
        """Return it for people."""
        if self.played.failed:
            return f"failed after {self.seconds} s: {self.played.failed}"
        would = "would change" if self.checked else "changed"
        return f"{self.played.changes} {would} in {self.seconds} s: {self.played.sentence}"


def bring(  # noqa: PLR0913 - what a playbook is told
    environment: Environment,
    document: Path,
    *,
    tell: Callable[[str], None],
    release: str = "",
    check: bool = False,
    limit: str = "",
    tags: str = "",
    variables: Mapping[str, str] | None = None,
) -> Brought:
    """Run the playbooks of a whole environment; a second time changes nothing. Raises DeployError.

    `release` is what hosts without any get, `limit` the hosts and `tags` the parts that it keeps to, "" for all.
    """
    given = dict(variables or {})
    if release:
        directory = store().release(release)
        verify(directory, trust(paths(environment)[1]))
        given |= {"release": release, "artifacts": str(store().home)}
    began = time.monotonic()
    driver = environment.drivers.get("hosts")
    if driver is None:
        raise DeployError(f"the document of {environment.name} names no way to its hosts; write it anew")
    played = play(
        Request(
            playbook=PLAYBOOK,
            document=str(document),
            variables=given,
            check=check,
            facts=facts_of(environment),
            network=driver.settings.get("network", ""),
            limit=limit,
            tags=tags,
        ),
        tell,
    )
    return Brought(played, round(time.monotonic() - began, 1), check)
