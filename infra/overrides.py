"""The settings that an operator has set otherwise in one environment: one file beside its document, no secret in it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.environment import EnvironmentFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SERVICE, DATABASE = "indexer_settings", "postgresql_parameters"
_HEAD = "# Written by `simplicity infrastructure update-config`; a change by hand comes with the next playbook.\n"


@dataclass(frozen=True, slots=True)
class Overrides:
    """Settings of the service, and parameters of PostgreSQL; values are text as their owner reads it."""

    service: Mapping[str, str] = field(default_factory=dict)
    database: Mapping[str, str] = field(default_factory=dict)


NONE = Overrides()


def read(path: Path) -> Overrides:
    """Return what is set, nothing where there is no file. Raises EnvironmentFileError for one that cannot be used."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return NONE
    except OSError as error:
        raise EnvironmentFileError(f"{path}: cannot be read ({error.strerror})") from None
    import yaml  # noqa: PLC0415 - an environment without the file needs no package for it

    try:
        found: Any = yaml.safe_load(text) or {}
        return Overrides(
            *({str(name): str(value) for name, value in found[each].items()} for each in (SERVICE, DATABASE))
        )
    except (yaml.YAMLError, KeyError, AttributeError, TypeError):
        raise EnvironmentFileError(f"{path}: is not what `simplicity infrastructure update-config` writes") from None


def write(path: Path, overrides: Overrides) -> None:
    """Replace the file in one step."""
    import yaml  # noqa: PLC0415 - as above

    text = yaml.safe_dump({SERVICE: dict(overrides.service), DATABASE: dict(overrides.database)}, sort_keys=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_text(_HEAD + text, encoding="utf-8")
    fresh.replace(path)
