"""`simplicity state` as a person and as a machine read it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from indexer.state.cli import state_app
from indexer.store.connection import connect
from tests.indexer.state.conftest import settings
from tests.support.indexing import exported, open_writer
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typer.testing import Result

    from tests.support.memory_node import MemoryNode
    from tests.support.postgres import Cluster

    Run = Callable[..., Result]


@pytest.fixture
def url(cluster: Cluster, sound_url: str) -> str:
    return cluster.new_database(sound_url.rpartition("/")[2])


@pytest.fixture
def run(url: str, node: MemoryNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a sub-command on the index at `url` and a node in memory."""

    @contextmanager
    def in_memory(_settings: object) -> Iterator[MemoryNode]:
        yield node

    monkeypatch.setattr("indexer.state.cli._node", in_memory)
    monkeypatch.setattr("indexer.log.configure", lambda _level: None)
    env_file = tmp_path / "env"
    env_file.write_text("\n".join(f"{name}={value}" for name, value in settings(url).items()))

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(state_app, [*arguments, "--env-file", str(env_file)], catch_exceptions=False)

    return invoke


def damage(url: str) -> None:
    with connect(url) as connection:
        connection.execute("UPDATE index.operations SET vout = vout + 1 WHERE op_id >> 20 = 9")


def read(done: Result) -> Any:  # noqa: ANN401 - JSON
    return json.loads(done.stdout)


def test_a_sound_index_exits_with_0_and_shows_its_values(run: Run, url: str) -> None:
    done = run("verify")
    assert done.exit_code == 0, done.output
    header = json.loads(exported(url).splitlines()[0])
    assert done.stdout.startswith("consistent: 27 blocks with ")
    for name in ("block_hash", "state_hash", "state_digest"):
        assert header[name] in done.stdout
    answer = read(run("verify", "--from-chain", "--json"))
    assert answer["consistent"] is answer["from_chain"] is True
    assert all(answer[name] == value for name, value in header.items() if name != "type")


def test_a_damaged_one_exits_with_1_and_names_block_rows_and_what_to_do(run: Run, url: str) -> None:
    damage(url)
    done = run("verify", "--from-chain")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("DIFFERS from block 9 on: ")
    assert "  operations: 8 rows" in lines
    assert any(line.startswith("    op_id 9437184 (block 9): wrong; vout is 1, expected 0") for line in lines)
    assert "    …" in lines
    assert lines[-1] == "see what would mend it: simplicity state repair"
    answer = read(run("verify", "--from-chain", "--json"))
    assert (answer["consistent"], answer["first_block"], answer["last_good"]) == (False, 9, 8)
    assert answer["counts"] == {"operations": 8}
    assert answer["differences"][0]["values"] == {"vout": {"found": 1, "expected": 0}}


def test_what_cannot_be_told_exits_with_2_and_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://someone:secret@127.0.0.1:{free_port()}/brc20")
    for command in (["verify"], ["compare", "--api", "http://127.0.0.1:9"], ["repair"], ["repair", "--yes"]):
        done = run(*command)
        assert done.exit_code == 2
        assert done.stderr.startswith("simplicity: database someone@127.0.0.1:")
        assert len(done.stderr.splitlines()) == 1
        assert "secret" not in done.output


def test_a_row_that_cannot_even_be_read_is_one_line(run: Run, url: str) -> None:
    with connect(url) as connection:
        connection.execute("UPDATE index.blocks SET time = 'infinity' WHERE height = 5")
    done = run("verify")
    assert done.exit_code == 2
    assert done.stderr.startswith("simplicity: a row is too damaged to be read (timestamp too large")


def test_a_comparison_names_the_block_and_its_operations(run: Run, url: str, sound_url: str) -> None:
    equal = run("compare", "--database", sound_url)
    assert equal.exit_code == 0, equal.output
    assert equal.stdout.startswith("equal up to block 27\n")
    damage(url)
    with connect(url) as connection:
        connection.execute("UPDATE index.blocks SET state_hash = sha256(state_hash) WHERE height >= 9")
    differs = run("compare", "--database", sound_url)
    assert differs.exit_code == 1
    assert differs.stdout.startswith("DIFFER from block 9 on\n")
    assert '  operation 9437184: {"vout": 1} here, {"vout": 0} there' in differs.stdout
    answer = read(run("compare", "--database", sound_url, "--json"))
    assert (answer["equal"], answer["first_block"]) == (False, 9)
    assert answer["operations"][0] == {"id": 9437184, "here": {"vout": 1}, "there": {"vout": 0}}


def test_the_other_database_may_be_named_by_the_environment(
    run: Run, sound_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPARE_DATABASE_URL", sound_url)
    assert run("compare").exit_code == 0


@pytest.mark.parametrize("arguments", [[], ["--api", "http://127.0.0.1:9", "--database", "postgresql://a@b/c"]])
def test_a_comparison_wants_one_other_side(run: Run, arguments: list[str]) -> None:
    done = run("compare", *arguments)
    assert done.exit_code == 2
    assert done.stderr == ("simplicity: name the other indexer, either with --database URL or with --api URL\n")


def test_a_repair_is_only_shown_until_it_is_told_yes(run: Run, url: str, sound_url: str) -> None:
    damage(url)
    damaged = exported(url)
    for command in (["repair"], ["repair", "--dry-run", "--yes"]):
        done = run(*command)
        assert done.exit_code == 1
        assert "would keep the blocks and operations up to block 8 and recompute" in done.stdout
        assert "would delete blocks 9 to 27 and index them anew from the node" in done.stdout
        assert done.stdout.endswith("to do it, stop every sync and add --yes\n")
    assert exported(url) == damaged
    done = run("repair", "--yes")
    assert done.exit_code == 0, done.output
    assert "deleted 19 blocks with " in done.stdout
    assert "now:\nconsistent: 27 blocks with " in done.stdout
    assert exported(url) == exported(sound_url)
    again = run("repair", "--yes")
    assert again.exit_code == 0
    assert again.stdout.endswith("nothing to mend\n")


def test_a_repair_tells_machines_what_it_did(run: Run, url: str) -> None:
    damage(url)
    planned = read(run("repair", "--json"))
    assert (planned["well"], planned["needed"], planned["done"], planned["good"], planned["stood"]) == (
        False,
        True,
        False,
        8,
        27,
    )
    done = run("repair", "--yes", "--no-replay", "--json")
    assert done.exit_code == 0
    answer = read(done)
    assert (answer["done"], answer["deleted"]["blocks"], answer["after"]["height"]) == (True, 19, 8)
    assert answer["after"]["consistent"] is True


def test_a_repair_says_who_indexes_the_rest(run: Run, url: str) -> None:
    damage(url)
    assert "simplicity sync indexes blocks 9 to 27 anew\n" in run("repair", "--yes", "--no-replay").stdout


def test_a_repair_beside_a_sync_is_one_clear_line(run: Run, url: str) -> None:
    writer = open_writer(url)
    done = run("repair", "--yes")
    writer.close()
    assert done.exit_code == 2
    assert done.stderr == "simplicity: a sync writes to this database: stop every sync, then repair\n"


def test_a_repair_from_before_the_first_block_is_refused(run: Run) -> None:
    done = run("repair", "--from-height", "0")
    assert done.exit_code == 2
    assert done.stderr == "simplicity: --from-height 0: the index begins at block 1\n"


def test_an_export_is_what_it_was(run: Run, url: str, tmp_path: Path) -> None:
    target = tmp_path / "state.ndjson"
    assert run("export", "-o", str(target)).exit_code == 0
    assert target.read_bytes() == exported(url)
