"""Write the pages in docs/runbooks/ anew from the runbooks; `--check` only compares."""

from __future__ import annotations

from pathlib import Path

import committed

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs/runbooks"
# Written by a person.
BY_HAND = frozenset({"WRITING.md"})
COMMAND = ".venv/bin/python .ci/check_runbooks.py"


def generated() -> dict[str, str]:
    """Return the text of every page by its file's name."""
    from runbooks.engine.page import index, page  # noqa: PLC0415 - the help needs no runbook
    from runbooks.engine.registry import runbooks  # noqa: PLC0415 - the same

    books = runbooks()
    return {f"{name}.md": page(book) for name, book in books.items()} | {"README.md": index(books)}


def stale(pages: Path, texts: dict[str, str]) -> list[str]:
    """Return the names of pages that are not what their runbooks give, or that no runbook gives any more."""
    return committed.stale(pages, texts, "*.md", BY_HAND)


def write(pages: Path, texts: dict[str, str]) -> None:
    """Make the pages what the runbooks give."""
    committed.write(pages, texts, stale(pages, texts))


def main() -> int:
    """Write or compare; exit code 1 where a committed page is stale."""
    only_compares, texts = committed.only_compares(__doc__), generated()
    if not only_compares:
        write(PAGES, texts)
        return 0
    found = stale(PAGES, texts)
    committed.tell((f"docs/runbooks/{name}" for name in found), "what its runbook gives", COMMAND)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
