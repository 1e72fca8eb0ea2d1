"""Hold deployments back until a moment: while an incident is looked into, over a holiday."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from infra.local.layout import layout, private_directory, write_private
from runbooks.deploy.errors import DeployError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Freeze:
    """Until when (ISO 8601), why, by whom."""

    until: str
    reason: str
    by: str

    def holds(self, now: datetime) -> bool:
        """Say whether it is not over yet."""
        return now < datetime.fromisoformat(self.until)

    @property
    def sentence(self) -> str:
        """The freeze in a line."""
        return f"frozen until {self.until} by {self.by}: {self.reason}"


def _path(environment: str) -> Path:
    return layout().home / "deploy" / f"frozen-{quote(environment, safe='')}.json"


def read(environment: str) -> Freeze | None:
    """Return the freeze of an environment, None where there is none. Raises DeployError for a damaged one: it holds."""
    path = _path(environment)
    try:
        return Freeze(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        raise DeployError(f"{path}: cannot be read; `simplicity deploy unfreeze` removes it") from None


def write(environment: str, freeze: Freeze) -> None:
    """Freeze an environment; a later freeze takes the place of an earlier one."""
    path = _path(environment)
    private_directory(path.parent.parent)
    private_directory(path.parent)
    write_private(path, json.dumps(asdict(freeze), indent=2) + "\n")


def remove(environment: str) -> bool:
    """End a freeze; False where there was none."""
    path = _path(environment)
    there = path.exists()
    path.unlink(missing_ok=True)
    return there
