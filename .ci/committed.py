"""What the checks of generated files share: which committed ones are stale, writing them anew, and the command line."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path


def stale(root: Path, texts: Mapping[str, str], pattern: str, by_hand: Collection[str] = ()) -> list[str]:
    """Return the names, from `root` on, of files that are not their text, and of those that nothing gives any more.

    Among the files of `pattern`, a glob, all are generated but those written `by_hand`.
    """
    there = {path.relative_to(root).as_posix() for path in root.glob(pattern)} - set(by_hand)
    return sorted(name for name in there | texts.keys() if _text(root / name) != texts.get(name))


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def write(root: Path, texts: Mapping[str, str], names: Iterable[str]) -> None:
    """Make the files of these names what they should be: their text, or gone."""
    for name in names:
        if name in texts:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(texts[name], encoding="utf-8")
        else:
            (root / name).unlink()


def only_compares(description: str | None) -> bool:
    """Read the command line: whether nothing is to be changed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, change nothing")
    return bool(parser.parse_args().check)


def tell(names: Iterable[str], what: str, command: str) -> None:
    """Say of each stale file what it is not, and what to run."""
    for name in names:
        sys.stderr.write(f"{name} is not {what}; run: {command}\n")
