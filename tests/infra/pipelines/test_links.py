"""`make docs`: links that lead nowhere are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.scripts import ROOT, script

if TYPE_CHECKING:
    from pathlib import Path

links = script("check_links")


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    (tmp_path / "docs/deep").mkdir(parents=True)
    (tmp_path / "docs/picture.svg").touch()
    (tmp_path / "docs/deep/other.md").write_text("# A `title`, twice\n## Twice\n## Twice\n```\n# no heading\n```\n")
    return tmp_path


def test_the_documentation_leads_nowhere_in_no_place() -> None:
    assert links.problems(ROOT) == []


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/deep/other.md)",
        "[a](docs/deep/other.md#a-title-twice)",
        "[a](docs/deep/other.md#twice-1)",
        "![a](docs/picture.svg)",
        "[a](#here)\n# Here",
        "[a](https://example.com/nothing)",
        "`[a](nothing.md)`",
        "```\n[a](nothing.md)\n```",
        '[a](docs/picture.svg "a title")',
        "[a](docs/deep)",
    ],
)
def test_what_leads_somewhere_is_not_told(pages: Path, text: str) -> None:
    (pages / "README.md").write_text(text)
    assert links.problems(pages) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a](nothing.md)", "README.md: nothing.md: there is no such file"),
        ("[a](docs/deep/other.md#nothing)", "README.md: docs/deep/other.md#nothing: there is no such heading"),
        ("[a](docs/deep/other.md#no-heading)", "README.md: docs/deep/other.md#no-heading: there is no such heading"),
        ("[a](docs/deep/other.md#twice-2)", "README.md: docs/deep/other.md#twice-2: there is no such heading"),
        ("![a](nothing.svg)", "README.md: nothing.svg: there is no such file"),
        ("[a](#nothing)", "README.md: #nothing: there is no such heading"),
    ],
)
def test_what_leads_nowhere_is_told(pages: Path, text: str, problem: str) -> None:
    (pages / "README.md").write_text(text)
    assert links.problems(pages) == [problem]


def test_a_broken_link_in_a_deep_page_fails_the_check(
    pages: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (pages / "docs/deep/page.md").write_text("[a](../nothing.md)")
    monkeypatch.setattr(links, "ROOT", pages)
    assert links.main() == 1
    assert capsys.readouterr().err == "docs/deep/page.md: ../nothing.md: there is no such file\n"
