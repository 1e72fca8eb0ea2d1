"""Where an operations page stands: which environment it is of, and where it keeps its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.environment import Environment, load

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """`document` is read anew for each page: `up` writes it after it has started this process.

    `host` is the address that is listened on; `token_file` has the token that deliveries have to show.
    """

    document: Path
    directory: Path
    host: str = "127.0.0.1"
    token_file: Path | None = None

    def environment(self) -> Environment:
        """Return the environment. Raises EnvironmentFileError."""
        return load(self.document)
