"""Every runbook's page, opened as a person opens it: by the command, and as the committed file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from runbooks.engine.registry import runbooks
from tests.support.envelope import SIMPLICITY

if TYPE_CHECKING:
    from runbooks.engine.model import Runbook
    from tests.prove.backups.figures import Figures

PAGES = Path(__file__).parents[3] / "docs" / "runbooks"
SECTIONS = ("Meaning", "Impact", "Diagnosis", "Steps", "Verify", "Undo", "Run it")
_LINK = re.compile(r'href="([^"#:]+)"')


def prove(figures: Figures) -> None:
    """Open each page in both ways, and follow its links."""
    books = runbooks()
    opened = sum(_opens(book) for book in books.values())
    links = {link for page in PAGES.glob("*.md") for link in _LINK.findall(MarkdownIt().render(page.read_text()))}
    figures.count(
        "pages of runbooks opened: shown by the command, with every section, as committed", opened, len(books)
    )
    figures.count("links between them that lead somewhere", sum((PAGES / link).exists() for link in links), len(links))


def _opens(book: Runbook) -> bool:
    sections = ["Before"] * bool(book.before.strip()) + list(SECTIONS)
    command = [str(SIMPLICITY), "runbook", "show", book.name]
    shown = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    html = MarkdownIt().render(shown.stdout)
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    committed = (PAGES / f"{book.name}.md").read_text()
    return shown.returncode == 0 and headings == sections and shown.stdout == committed
