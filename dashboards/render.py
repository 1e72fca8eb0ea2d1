"""Pictures of dashboards, for incident reports and for those without Grafana."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from dashboards.render_html import document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dashboards.render_data import Picture


class RenderError(Exception):
    """A picture cannot be made: one line that says why and what to do."""


def as_html(picture: Picture) -> bytes:
    """Return a picture as a page that needs nothing but itself."""
    return document(picture).encode()


def as_png(picture: Picture) -> bytes:
    """Return a picture as a PNG of 1400 pixels' width."""
    from dashboards.render_png import png  # noqa: PLC0415 - matplotlib takes a second and 60 MB

    return png(picture)


FORMATS: Final[dict[str, Callable[[Picture], bytes]]] = {".html": as_html, ".png": as_png}


def format_of(path: Path) -> Callable[[Picture], bytes]:
    """Return what makes a file of this name. Raises RenderError."""
    if path.suffix not in FORMATS:
        raise RenderError(f"{path}: no picture ends in {path.suffix or 'nothing'!r}; say {' or '.join(FORMATS)}")
    return FORMATS[path.suffix]


def write(path: Path, content: bytes) -> None:
    """Replace a file in one step. Raises RenderError."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise RenderError(f"{path}: cannot be written ({error.strerror}); choose another file") from None
