"""Check that every link of the documentation leads to a file, and to a heading of it, that is there.

Addresses on the internet are not asked: a page that is away should not fail a check of this commit.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("*.md", "docs/**/*.md")
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def main() -> int:
    """Tell of each link that leads nowhere; exit code 1 where there is one."""
    broken = problems(ROOT)
    for line in broken:
        sys.stderr.write(f"{line}\n")
    return 1 if broken else 0


def problems(root: Path) -> list[str]:
    """Return a line for each link that leads nowhere, by page and in its order."""
    pages = sorted({page for pattern in PAGES for page in root.glob(pattern)})
    return [line for page in pages for line in _of_page(page, root)]


def _of_page(page: Path, root: Path) -> list[str]:
    text = _CODE.sub("", _FENCE.sub("", page.read_text("utf-8")))
    targets = [target for target in _LINK.findall(text) if not _ELSEWHERE.match(target)]
    found = ((target, _problem(page, target)) for target in targets)
    return [f"{page.relative_to(root)}: {target}: {problem}" for target, problem in found if problem]


def _problem(page: Path, target: str) -> str:
    """Return why a link of a page leads nowhere, "" where it does not."""
    path, _, anchor = unquote(target).partition("#")
    there = page.parent / path if path else page
    if not there.exists():
        return "there is no such file"
    if anchor and there.suffix == ".md" and anchor not in anchors(there.read_text("utf-8")):
        return "there is no such heading"
    return ""


def anchors(text: str) -> set[str]:
    """Return the anchors that a page's headings get where it is shown: a second of one name is numbered."""
    seen: dict[str, int] = {}
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        number = seen.get(anchor, 0)
        seen[anchor] = number + 1
        found.add(f"{anchor}-{number}" if number else anchor)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
