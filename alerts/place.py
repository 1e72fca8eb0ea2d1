"""Where Alertmanager and Prometheus of an environment answer, as its document says."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path


class PlaceError(Exception):
    """It is not known where to ask: one line that says what to give."""


@dataclass(frozen=True, slots=True)
class Place:
    """The servers' URLs, without a path; "" where there is none."""

    alertmanager: str
    prometheus: str = ""


def place(alertmanager: str = "", environment: Path | None = None) -> Place:
    """Return where to ask: the URL given, else what the document says. Raises PlaceError."""
    if alertmanager:
        return Place(alertmanager.rstrip("/"))
    path = environment or local_document()
    try:
        endpoints = json.loads(path.read_text(encoding="utf-8"))["endpoints"]
        found, prometheus = endpoints.get("alertmanager"), endpoints.get("prometheus")
    except FileNotFoundError:
        raise PlaceError(
            f"{path}: no environment here; `simplicity up` makes the local one, or give --alertmanager URL"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise PlaceError(f"{path}: is no environment document; give another with --environment FILE") from None
    if not isinstance(found, str) or not found:
        raise PlaceError(f"{path}: names no Alertmanager; give one with --alertmanager URL")
    return Place(found.rstrip("/"), str(prometheus or "").rstrip("/"))


def local_document() -> Path:
    """Return where the local envelope has its document: as infra/local/layout.py says, which is not ours to import."""
    chosen = os.environ.get("SIMPLICITY_HOME")
    checkout = Path(__file__).resolve().parents[1]
    base = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
    home = Path(chosen).expanduser() if chosen else base / ".simplicity"
    return home.absolute() / "local/environment.json"
