"""What two releases can live with on one schema, and what they cannot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runbooks.deploy.errors import DeployError
from runbooks.deploy.manifest import Revision
from runbooks.deploy.migrations import (
    FOLDER,
    keeps_from_going_back,
    problems_of,
    problems_of_program,
    problems_of_sql,
    refusals,
    revisions,
)
from tests.runbooks.deploy.support import made

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
TIMED = "SET LOCAL lock_timeout = '2s';\n"
EXPAND, CONTRACT = 'kind = "expand"', 'kind = "contract"\nafter = "0.2.0"'


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """A source tree with migrations: by number, what they say beside their revision, and their SQL."""

    def make(*each: tuple[str, str, str]) -> Path:
        folder = tmp_path / FOLDER
        folder.mkdir(parents=True)
        parent = "None"
        for name, words, sql in each:
            (folder / f"{name}_x.py").write_text(f'revision = "{name}"\ndown_revision = {parent}\n{words}\n')
            (folder / f"{name}_x.sql").write_text(sql)
            parent = f'"{name}"'
        return tmp_path

    return make


def test_this_release_can_be_deployed() -> None:
    found = revisions(ROOT)
    assert [each.revision for each in found][:3] == ["0001", "0002", "0003"]
    assert problems_of(ROOT, found) == []


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("ALTER TABLE a DROP COLUMN b", "drops"),
        ("DROP TABLE a", "drops"),
        ("drop view a", "drops"),
        ("ALTER TABLE a RENAME COLUMN b TO c", "renames"),
        ("ALTER TABLE a ALTER COLUMN b TYPE bigint", "changes the type"),
        ("ALTER TABLE a ALTER b SET DATA TYPE bigint", "changes the type"),
        ("ALTER TABLE a ALTER COLUMN b SET NOT NULL", "forbids NULL"),
        ("ALTER TABLE a ADD COLUMN b bigint NOT NULL", "does not fill"),
        ("REVOKE SELECT ON a FROM r", "takes rights away"),
        ("DELETE FROM a", "deletes rows"),
        ("TRUNCATE a", "deletes rows"),
        ("UPDATE a SET b = 1", "in_batches"),
        ("-- squawk-ignore-file\nDROP TABLE a", "drops"),
    ],
)
def test_an_expand_takes_nothing_away(sql: str, why: str) -> None:
    assert any(why in each for each in problems_of_sql(f"{TIMED}{sql};"))


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE a (b bigint NOT NULL)",
        f"{TIMED}ALTER TABLE a ADD COLUMN b bigint",
        f"{TIMED}ALTER TABLE a ADD COLUMN b bigint NOT NULL DEFAULT 0",
        f"{TIMED}ALTER TABLE a ALTER COLUMN b DROP NOT NULL",
        "-- DROP TABLE a\nCREATE TABLE b (c text DEFAULT 'DROP TABLE a;')",
        "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN DELETE FROM a; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER t BEFORE UPDATE OR DELETE OR TRUNCATE ON a EXECUTE FUNCTION f()",
    ],
)
def test_an_expand_may_add(sql: str) -> None:
    assert problems_of_sql(f"{sql};") == []


def test_a_table_in_use_is_not_locked_without_a_limit() -> None:
    assert "lock_timeout" in problems_of_sql("ALTER TABLE a ADD COLUMN b bigint;")[0]


def test_an_index_that_holds_writers_up_is_refused(tree: Callable[..., Path]) -> None:
    where = tree(("0001", EXPAND, f"{TIMED}CREATE INDEX a_b ON a (b);"))
    assert any("require-concurrent-index-creation" in each for each in problems_of(where, revisions(where)))


def test_a_program_is_judged_by_its_sql_alone() -> None:
    assert problems_of_program('def upgrade():\n    op.drop_column("a", "b")\n')
    assert problems_of_program('def upgrade():\n    op.execute("DROP TABLE a")\n')
    assert not problems_of_program("def upgrade():\n    op.execute(Path(__file__).with_suffix('.sql').read_text())\n")


@pytest.mark.parametrize("words", ["", 'kind = "both"', 'kind = "contract"'])
def test_a_migration_says_its_kind(tree: Callable[..., Path], words: str) -> None:
    with pytest.raises(DeployError, match=r"kind|after"):
        revisions(tree(("0001", words, "")))


def test_a_contract_may_drop(tree: Callable[..., Path]) -> None:
    where = tree(("0001", EXPAND, "CREATE TABLE a ();"), ("0002", CONTRACT, "DROP TABLE a;"))
    assert problems_of(where, revisions(where)) == []
    assert revisions(where)[1].after == "0.2.0"


@pytest.mark.parametrize(("live", "refused"), [("0.1.0", True), ("0.2.0", False)])
def test_a_contract_waits_until_the_release_that_stopped_needing_it_is_live(live: str, *, refused: bool) -> None:
    assert bool(refusals(made(live), made("0.3.0", ("0001", "expand"), ("0002", "contract")))) is refused


def test_a_release_knows_what_was_applied_and_has_not_changed_it() -> None:
    both = made("0.2.0", ("0001", "expand"), ("0002", "expand"))
    assert "lacks the migration 0002" in refusals(both, made("0.3.0"))[0]
    other = made("0.3.0", revisions=(Revision(revision="0001", kind="expand", sha256="f" * 64),))
    assert "another one" in refusals(made("0.2.0"), other)[0]
    assert refusals(made("0.2.0"), made("0.3.0", ("0001", "expand"), ("0002", "expand"))) == []
    assert refusals(None, made("0.3.0")) == []


def test_there_is_a_way_back_over_an_expand_and_none_over_a_contract() -> None:
    expanded = made("0.3.0", ("0001", "expand"), ("0002", "expand"))
    contracted = made("0.3.0", ("0001", "expand"), ("0002", "contract"))
    assert keeps_from_going_back(expanded, made("0.1.0")) == []
    assert keeps_from_going_back(contracted, made("0.1.0"))
    assert keeps_from_going_back(contracted, made("0.2.0")) == []
