"""Pages are complete, what is committed is what the runbooks give, and the guide's example works as it stands."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from runbooks.engine.page import index, page
from runbooks.engine.registry import BOOKS, RegistryError, runbook, runbooks
from tests.runbooks.engine.support import book, step

if TYPE_CHECKING:
    from runbooks.engine.model import Runbook

ROOT = Path(__file__).parents[3]
CHECK = ROOT / ".ci/check_runbooks.py"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Steps", "Verify", "Undo", "Run it"]
OURS = runbooks()


@pytest.mark.parametrize("book", OURS.values(), ids=OURS)
def test_every_runbook_has_a_page_that_can_be_followed_by_hand(book: Runbook) -> None:
    text = page(book)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [*(["Before"] if book.before else []), *SECTIONS]
    for each in book.steps:
        assert each.by_hand, f"{each.name}: say how a person does it"
        for part in (each.title, each.asserts, each.by_hand, f"at most {each.within:g} s", each.undo_title):
            assert part in text
    for parameter in book.parameters:
        parameter.parse(parameter.example)
        assert f"| `{parameter.name}` |" in text
    assert (ROOT / "docs/runbooks" / f"{book.name}.md").read_text() == text, f"run: python {CHECK.name}"


def test_what_has_to_be_known_first_leads_the_page_and_what_an_argument_spares_is_said() -> None:
    text = page(book(step("drop", destroys=True, spares=lambda _: True), before="Make room first."))
    assert text.index("## Before\n\nMake room first.") < text.index("## Meaning")
    assert "shows a dry run and asks first; not where its arguments say that nothing is to be done." in text


def test_the_index_names_them_all() -> None:
    assert (ROOT / "docs/runbooks/README.md").read_text() == index(OURS)
    assert all(f"[{name}]({name}.md)" in index(OURS) for name in OURS)


def test_what_destroys_and_what_has_no_way_by_hand_is_said() -> None:
    text = page(book(step("drop", destroys=True), step("look", reads_only=True), title="Drop a | b", on_failure="undo"))
    assert "**Destroys something**" in text
    assert "Changes nothing; a dry run carries it out too." in text
    assert "there is no other way than the command" in text
    assert "every step that had begun is undone by itself" in text
    assert "simplicity runbook run made-up --yes" in text
    assert r"Drop a \| b | yes, asks first |" in index({"made-up": book(step("a", destroys=True), title="Drop a | b")})


@pytest.fixture
def check() -> ModuleType:
    specification = importlib.util.spec_from_file_location("check_runbooks", CHECK)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_check_passes_on_what_is_committed() -> None:
    done = subprocess.run([sys.executable, CHECK, "--check"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_pages_that_are_stale_missing_or_left_over_are_found_and_put_right(check: ModuleType, tmp_path: Path) -> None:
    texts = {"a.md": "a", "b.md": "b"}
    for name, text in {"a.md": "old", "c.md": "of a runbook that is gone", "WRITING.md": "by hand"}.items():
        (tmp_path / name).write_text(text)
    assert check.stale(tmp_path, texts) == ["a.md", "b.md", "c.md"]
    check.write(tmp_path, texts)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == texts | {"WRITING.md": "by hand"}


def test_runbooks_are_found_by_name_and_a_wrong_name_says_which_there_are() -> None:
    assert runbook("restart-service").name == "restart-service"
    with pytest.raises(RegistryError, match="there is no runbook 'nothing'; there are "):
        runbook("nothing")


def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> tuple[str]:
    folder = tmp_path / f"books_{tmp_path.name}"
    folder.mkdir()
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return (folder.name,)


def test_a_runbook_whose_package_is_missing_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = _package(tmp_path, monkeypatch, one="import nothing_like_it")
    with pytest.raises(
        RegistryError, match=r"one: needs the package 'nothing_like_it'; install the extra: .*\[local\]"
    ):
        runbooks(packages)


def test_a_module_of_ours_that_is_missing_is_a_bug_and_shown_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModuleNotFoundError):
        runbooks(_package(tmp_path, monkeypatch, one="import runbooks.nothing_like_it"))


def test_a_module_without_a_runbook_and_a_name_used_twice_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RegistryError, match="has no RUNBOOK"):
        runbooks(_package(tmp_path, monkeypatch, empty=""))
    with pytest.raises(RegistryError, match="there is another runbook restart-service"):
        runbooks((BOOKS[0], BOOKS[0]))


def test_the_guides_example_works_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (ROOT / "docs/runbooks/WRITING.md").read_text()
    example, its_test = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    name = "runbooks.maintenance.books.hold_deploys"
    assert name.replace(".", "/") + ".py" in guide
    made = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    exec(compile(example, "hold_deploys.py", "exec"), made.__dict__)  # noqa: S102 - it is our own guide
    tests: dict[str, object] = {"__name__": "test_hold_deploys"}
    exec(compile(its_test, "test_hold_deploys.py", "exec"), tests)  # noqa: S102 - it is our own guide
    (only,) = [value for key, value in tests.items() if key.startswith("test_")]
    assert callable(only)
    only(tmp_path)
    assert all(part in page(made.RUNBOOK) for part in ("# Hold deploys back", "Remove the file"))
