"""Write dashboards/generated/ and docs/dashboards.md anew; `--check` only compares, and lints what is there."""

from __future__ import annotations

import sys
from pathlib import Path

import committed

ROOT = Path(__file__).resolve().parent.parent
GENERATED = "dashboards/generated"
PAGE = "docs/dashboards.md"
COMMAND = ".venv/bin/python .ci/check_dashboards.py"


def generated() -> dict[str, str]:
    """Return the text of every file by its path in the repository."""
    from dashboards.catalog import dashboards  # noqa: PLC0415 - the help needs no dashboard
    from dashboards.grafana import as_json  # noqa: PLC0415 - the same
    from dashboards.page import page  # noqa: PLC0415 - the same

    boards = dashboards()
    return {f"{GENERATED}/{board.uid}.json": as_json(board) for board in boards} | {PAGE: page(boards)}


def wrong() -> list[str]:
    """Return what the lint finds, a line each."""
    from dashboards.catalog import dashboards  # noqa: PLC0415 - the help needs no dashboard
    from dashboards.lint import problems, sources  # noqa: PLC0415 - the same

    known = sources()
    return [line for board in dashboards() for line in problems(board, known)]


def stale(root: Path, texts: dict[str, str]) -> list[str]:
    """Return the paths of files that are not what the dashboards give, or that no dashboard gives any more."""
    return committed.stale(root, texts, f"{GENERATED}/*.json")


def write(root: Path, texts: dict[str, str]) -> None:
    """Make the files what the dashboards give."""
    committed.write(root, texts, stale(root, texts))


def main() -> int:
    """Write or compare; exit code 1 where a committed file is stale or a dashboard is wrong."""
    only_compares = committed.only_compares(__doc__)
    found = wrong()
    for line in found:
        sys.stderr.write(f"{line}\n")
    texts = generated()
    if not only_compares:
        write(ROOT, texts)
        return 1 if found else 0
    committed.tell(old := stale(ROOT, texts), "what the dashboards give", COMMAND)
    return 1 if found or old else 0


if __name__ == "__main__":
    raise SystemExit(main())
