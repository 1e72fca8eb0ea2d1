"""Where releases lie on the control node, and the signed statements about them: what was tested, what ran where."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from infra.local.layout import layout, private_directory
from runbooks.deploy.errors import DeployError
from runbooks.deploy.manifest import ID, MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

STATEMENTS, CACHE = ".statements", ".wheels"
_NAME = re.compile(r"[0-9A-Za-z._+-]{1,160}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Store:
    """A directory of releases; each is a directory called by its id."""

    home: Path

    @property
    def cache(self) -> Path:
        """Wheels that were downloaded once."""
        return self.home / CACHE

    def ids(self) -> list[str]:
        """Return what releases there are, the oldest first."""
        found = [path.parent for path in self.home.glob(f"*/{MANIFEST}") if ID.fullmatch(path.parent.name)]
        return [path.name for path in sorted(found, key=lambda path: (path / MANIFEST).stat().st_mtime)]

    def release(self, name: str) -> Path:
        """Return the directory of a release. Raises DeployError where there is none."""
        there = self.ids()
        if name not in there:
            known = ", ".join(reversed(there[-5:])) or "none: `simplicity deploy build` makes one"
            raise DeployError(f"there is no release {name[:80]!r} in {self.home}; there is {known}")
        return self.home / name

    def state(self, name: str, words: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> Path:
        """Write a signed statement under a name; a later one takes its place."""
        directory = self.home / STATEMENTS
        private_directory(self.home)
        private_directory(directory)
        text = (json.dumps(dict(words), indent=2, sort_keys=True) + "\n").encode()
        path = directory / f"{_checked(name)}.json"
        # The signature first: a statement without its own is as if it were not there.
        for target, content in ((path.with_suffix(".json.sig"), sign(text)), (path, text)):
            fresh = target.with_name(f"{target.name}.new")
            fresh.write_bytes(content)
            fresh.replace(target)
        return path

    def statement(self, name: str, trusted: Callable[[bytes, bytes], bool]) -> Mapping[str, Any] | None:
        """Return a statement, None where there is none that can be trusted."""
        path = self.home / STATEMENTS / f"{_checked(name)}.json"
        try:
            text, signature = path.read_bytes(), path.with_suffix(".json.sig").read_bytes()
        except OSError:
            return None
        if not trusted(text, signature):
            return None
        found: Mapping[str, Any] = json.loads(text)
        return found


def checks_of(commit: str) -> str:
    """Return the name of the statement that says which checks of a commit passed."""
    return f"checks-{commit}"


def ran_of(release: str, environment: str) -> str:
    """Return the name of the statement that a release ran in an environment."""
    return f"ran-{release}-in-{environment}"


def store() -> Store:
    """Return the store of this SIMPLICITY_HOME."""
    return Store(layout().home / "releases")


def now() -> str:
    """Return this moment in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise DeployError(f"{name[:80]!r} is no name of a statement")
    return name
