"""No rule without a case that it lets through and one that it keeps out.

Vectors name the rules they show. A rule that no data can show (a crash, a reorg) is shown by a test that carries a
mark which says so: `@pytest.mark.rule("9.1b", "accept")`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.protocol.vectors import Vector, load

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "protocol.md"
_RULE = re.compile(r"^- \*\*(\d+\.\d+[a-z])\*\* ", re.MULTILINE)
_DIFFERENCE = re.compile(r"^\| (DEV\d+) \|", re.MULTILINE)
SIDES = ("accept", "reject")


def rules_of(document: str) -> list[str]:
    return _RULE.findall(document) + _DIFFERENCE.findall(document)


def shown_by_vectors(vectors: tuple[Vector, ...]) -> set[tuple[str, str]]:
    accepts = {(rule, "accept") for vector in vectors for rule in vector.accepts}
    return accepts | {(rule, "reject") for vector in vectors for rule in vector.rejects}


def shown_by_tests(source: str) -> set[tuple[str, str]]:
    """Return what the marks of a module's test functions claim; raise ValueError for a mark that proves nothing."""
    claimed: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.rule":
                if isinstance(node, ast.ClassDef) or not node.name.startswith("test_"):
                    raise ValueError(f"{node.name} is marked with a rule but is no test")
                claimed.add(_claim(decorator))
    return claimed


def _claim(mark: ast.Call) -> tuple[str, str]:
    match [ast.literal_eval(argument) for argument in mark.args]:
        case [str(rule), str(side)] if side in SIDES and not mark.keywords:
            return rule, side
    raise ValueError(f"{ast.unparse(mark)} is not of the form rule('9.1a', 'accept')")


def missing(rules: list[str], shown: set[tuple[str, str]]) -> list[str]:
    return [f"{rule} {side}" for rule in rules for side in SIDES if (rule, side) not in shown]


def all_shown() -> set[tuple[str, str]]:
    shown = shown_by_vectors(load())
    for path in sorted(TESTS.rglob("test_*.py")):
        shown |= shown_by_tests(path.read_text(encoding="utf-8"))
    return shown


def test_every_rule_has_a_case_for_and_a_case_against() -> None:
    rules = rules_of(DOCUMENT.read_text(encoding="utf-8"))
    assert missing(rules, all_shown()) == []


def test_every_case_names_rules_that_exist() -> None:
    rules = set(rules_of(DOCUMENT.read_text(encoding="utf-8")))
    assert sorted(rule for rule, _ in all_shown() if rule not in rules) == []


def test_the_document_has_the_sections_and_differences_that_are_promised() -> None:
    rules = rules_of(DOCUMENT.read_text(encoding="utf-8"))
    assert len(set(rules)) == len(rules)
    assert {rule.split(".")[0] for rule in rules if not rule.startswith("DEV")} == set("12345679") | {"10"}
    assert [rule for rule in rules if rule.startswith("DEV")] == [f"DEV{number}" for number in range(1, 11)]


def test_a_rule_without_a_case_is_reported() -> None:
    assert missing(["1.1a", "1.1b"], {("1.1a", "accept"), ("1.1b", "accept"), ("1.1b", "reject")}) == ["1.1a reject"]
    assert rules_of("text\n- **1.1a** One.\n- **12.3z** Two.\n| DEV4 | x | y |\n") == ["1.1a", "12.3z", "DEV4"]


def test_claims_are_read_from_the_marks_of_tests() -> None:
    source = (
        '@pytest.mark.rule("9.1a", "accept")\n@other\n@pytest.mark.rule("9.1b", "reject")\nasync def test_x(): ...\n'
    )
    assert shown_by_tests(source) == {("9.1a", "accept"), ("9.1b", "reject")}


@pytest.mark.parametrize(
    "source",
    [
        '@pytest.mark.rule("9.1a", "accept")\ndef helper(): ...\n',
        '@pytest.mark.rule("9.1a", "accept")\nclass TestX: ...\n',
        '@pytest.mark.rule("9.1a")\ndef test_x(): ...\n',
        '@pytest.mark.rule("9.1a", "maybe")\ndef test_x(): ...\n',
    ],
)
def test_a_mark_that_proves_nothing_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"is no test|is not of the form"):
        shown_by_tests(source)


@pytest.mark.parametrize("vector", load(), ids=lambda vector: vector.id)
def test_a_vector_shows_what_it_says_it_shows(vector: Vector) -> None:
    assert vector.accepts or vector.rejects
    rows = [row for tx in vector.transactions for row in tx.rows]
    kept_out = [tx for tx in vector.transactions if not tx.rows or any(row.error for row in tx.rows)]
    coinbases = [block for block in vector.blocks if block.coinbase is not None]
    if vector.accepts:
        assert any(not row.error for row in rows)
    if vector.rejects:
        assert kept_out or coinbases
