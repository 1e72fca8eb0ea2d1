"""Write the pages in docs/runbooks/ anew from the runbooks; `--check` only compares."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs/runbooks"
# Written by a person.
BY_HAND = frozenset({"WRITING.md"})


def generated() -> dict[str, str]:
    """Return the text of every page by its file's name."""
    from runbooks.engine.page import index, page  # noqa: PLC0415 - the help needs no runbook
    from runbooks.engine.registry import runbooks  # noqa: PLC0415 - the same

    books = runbooks()
    return {f"{name}.md": page(book) for name, book in books.items()} | {"README.md": index(books)}


def stale(pages: Path, texts: dict[str, str]) -> list[str]:
    """Return the names of pages that are not what their runbooks give, or that no runbook gives any more."""
    there = {path.name: path.read_text(encoding="utf-8") for path in pages.glob("*.md") if path.name not in BY_HAND}
    return sorted(name for name in there.keys() | texts.keys() if there.get(name) != texts.get(name))


def write(pages: Path, texts: dict[str, str]) -> None:
    """Make the pages what the runbooks give."""
    for name in stale(pages, texts):
        if name in texts:
            (pages / name).write_text(texts[name], encoding="utf-8")
        else:
            (pages / name).unlink()


def main() -> int:
    """Write or compare; exit code 1 where a committed page is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, change nothing")
    arguments = parser.parse_args()
    texts = generated()
    if not arguments.check:
        write(PAGES, texts)
        return 0
    for name in (found := stale(PAGES, texts)):
        sys.stderr.write(f"docs/runbooks/{name} is not what its runbook gives; run: {COMMAND}\n")
    return 1 if found else 0


COMMAND = ".venv/bin/python .ci/check_runbooks.py"

if __name__ == "__main__":
    raise SystemExit(main())
