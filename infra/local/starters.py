"""Scripts that run an unpacked program as if it were installed: with its libraries, and its files where it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.layout import EnvelopeError

if TYPE_CHECKING:
    from pathlib import Path

    from infra.local.tools import Tool

# Where a program finds what its starter has opened for it, wherever that lies.
OPENED = b"/proc/self/fd/9"


def write(tool: Tool, root: Path) -> None:
    """Put a script into `root` that runs the program with what was unpacked beside it; it keeps its pid.

    Raises EnvelopeError where the program does not look for its files where it is told to have them.
    """
    if tool.share:
        _move_share(tool, root)
    folders = sorted({str(library.parent.relative_to(root)) for library in root.glob("usr/lib/*/*.so*")})
    libraries = ":".join(f"$here/{folder}" for folder in folders)
    lines = [
        "#!/bin/sh",
        "here=${0%/*}",
        *([f'exec 9<"$here/{tool.share}"'] if tool.share else []),
        *([f'export LD_LIBRARY_PATH="{libraries}"'] if tool.libraries else []),
        f'exec "$here/{tool.binary}" "$@"',
    ]
    starter = root / tool.name
    starter.write_text("\n".join(lines) + "\n", encoding="utf-8")
    starter.chmod(0o755)


def _move_share(tool: Tool, root: Path) -> None:
    """Make the program look for its `share` where its starter opens it, by a path of the same length in its place."""
    known = f"/{tool.share}".encode()
    program = root / tool.binary
    content = program.read_bytes()
    # As it is it would run, and fail once it looks for its files: that is said here, where it can be mended.
    if len(known) < len(OPENED) or known not in content:
        raise EnvelopeError(
            f"the {tool.name} of the package {tool.package} does not look for its files in /{tool.share} or cannot"
            " be made to look elsewhere"
        )
    program.write_bytes(content.replace(known, OPENED.ljust(len(known), b"/")))
