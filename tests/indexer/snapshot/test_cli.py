"""`simplicity snapshot` as an operator types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from typer.testing import CliRunner

from indexer.snapshot import cli
from indexer.store.connection import LockKey, connect
from tests.indexer.snapshot.conftest import KeyPair
from tests.indexer.snapshot.forging import header_of, rebuilt
from tests.support.indexing import MARKETPLACE_HEIGHT, exported
from tests.support.processes import SIMPLICITY, simplicity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]


def environment(database_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "BITCOIN_NETWORK": "regtest",
        "START_BLOCK_HEIGHT": "1",
        "MARKETPLACE_TRANSFER_BLOCK_HEIGHT": str(MARKETPLACE_HEIGHT),
        "CLUSTER_NAME": "test",
    }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process: exit code, standard output and error."""
    monkeypatch.setattr("indexer.log.configure", lambda _: None)  # it would change this process's logs

    def invoke(*arguments: object, database_url: str = "postgresql://nobody@127.0.0.1:1/none") -> tuple[int, str, str]:
        done = CliRunner().invoke(cli.app, [str(each) for each in arguments], env=environment(database_url))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    return invoke


def test_from_a_key_to_a_restored_database(run: Run, sound_url: str, empty_database_url: str, tmp_path: Path) -> None:
    key, made = tmp_path / "snapshot.key", tmp_path / "made"
    made.mkdir()
    assert run("keygen", "--output", key)[0] == 0
    create = ("snapshot", "create", "--key", str(key), "--output", str(made), "--json")
    done = simplicity(*create, environment=environment(sound_url))
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    file = told["file"]
    assert [str(each) for each in made.iterdir()] == [file]
    restore = ("snapshot", "restore", "--trust", f"{key}.pub", file)
    done = simplicity(*restore, environment=environment(empty_database_url))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"state hash {told['header']['state_hash']}" in done.stdout
    assert done.stdout.endswith("restored; go on with: simplicity sync\n")
    assert exported(empty_database_url) == exported(sound_url)


def test_keygen_tells_the_id_of_the_key_and_no_secret(run: Run, snapshot: Path, tmp_path: Path) -> None:
    code, out, _ = run("keygen", "-o", tmp_path / "k")
    assert code == 0
    rebuilt(snapshot, tmp_path / "s", KeyPair.of(tmp_path / "k"))
    key_id = out.split()[-1]
    assert f"signature: trusted (key {key_id})\n" in run("inspect", tmp_path / "s", "--trust", tmp_path / "k.pub")[1]
    secret = (tmp_path / "k").read_text().splitlines()[1]
    assert secret not in out
    code, _, error = run("keygen", "-o", tmp_path / "k")
    assert (code, error) == (
        2,
        f"simplicity: --output {tmp_path}/k: exists, and a key is never overwritten; choose another\n",
    )


def test_inspect_shows_what_a_snapshot_holds_and_that_all_is_well(
    run: Run,
    snapshot: Path,
    maker: KeyPair,
    forger: KeyPair,
) -> None:
    code, out, error = run("inspect", snapshot, "--trust", forger.trust, "--trust", maker.trust, "--check")
    header = header_of(snapshot)
    assert (code, error) == (0, "")
    assert f"network regtest, height {header.height}, block {header.block_hash}\n" in out
    assert f"state digest {header.state_digest}\n" in out
    assert "signature: trusted (key " in out
    assert "checksums: right\n" in out
    code, out, error = run("inspect", snapshot, "--trust", maker.trust, "--json")
    told = json.loads(out)
    assert (code, told["signed"], told["trusted"], told["checked"], told["problems"]) == (0, True, True, False, [])
    assert told["header"]["tables"][0]["rows"] == header.tables[0].rows


def test_inspect_tells_a_forged_from_an_untrusted_and_a_damaged_one(
    run: Run,
    snapshot: Path,
    maker: KeyPair,
    forger: KeyPair,
    tmp_path: Path,
) -> None:
    code, out, error = run("inspect", snapshot)
    assert code == 1
    assert "signature: valid, but of a key that is not trusted" in out
    assert error.startswith(f"simplicity: {snapshot}: is signed by the key ")
    rebuilt(snapshot, tmp_path / "forged", forger)
    assert run("inspect", tmp_path / "forged", "--trust", maker.trust)[0] == 1
    data = bytearray(snapshot.read_bytes())
    data[30] ^= 1
    data[-1] ^= 1
    (tmp_path / "damaged").write_bytes(data)
    code, out, error = run("inspect", tmp_path / "damaged", "--trust", maker.trust, "--check", "--json")
    told = json.loads(out)
    assert (code, told["signed"], told["trusted"], len(told["problems"])) == (1, False, False, 2)
    assert error.count("\n") == 2
    code, out, error = run("inspect", tmp_path / "damaged", "--trust", maker.trust, "--check")
    assert "signature: NOT VALID" in out
    assert "checksums: WRONG" in out
    (tmp_path / "text").write_text("hello")
    code, out, error = run("inspect", tmp_path / "text", "--trust", maker.trust)
    assert (code, out) == (1, "")
    assert error == f"simplicity: {tmp_path}/text: is no snapshot, or cut off in its first 8 KiB\n"


def test_wrong_input_is_one_line_and_exit_code_2(
    run: Run,
    snapshot: Path,
    maker: KeyPair,
    sound_url: str,
    tmp_path: Path,
) -> None:
    none = tmp_path / "none"
    for arguments, said in (
        (("inspect", none), f"{none}: no such file"),
        (("inspect", snapshot, "--trust", none), f"--trust {none}: no such file"),
        (("create", "--key", none), f"--key {none}: no such file"),
        (("create", "--key", maker.path, "-o", none / "x"), f"--output {none}/x: No such file or directory; choose"),
        (("restore", snapshot, "--trust", maker.path), f"--trust {maker.path}: is no Ed25519 public key"),
        (("restore", none, "--trust", maker.trust), f"{none}: no such file"),
        (("restore", snapshot, "--trust", maker.trust, "--env-file", none), f"{none}: no such file"),
    ):
        code, out, error = run(*arguments, database_url=sound_url)
        assert (code, out, error.count("\n")) == (2, "", 1), error
        assert error.startswith(f"simplicity: {said}")
    code, _, error = run("restore", snapshot)
    assert code == 2, "restoring without saying whom to trust"
    assert "--trust" in error


def test_restore_tells_by_its_exit_code_what_is_wrong(
    *,
    run: Run,
    snapshot: Path,
    maker: KeyPair,
    forger: KeyPair,
    empty_database_url: str,
    damaged_url: str,
) -> None:
    assert run("restore", snapshot, "--trust", forger.trust, database_url=empty_database_url)[0] == 1
    code, _, error = run("restore", snapshot, "--trust", maker.trust)
    assert (code, error.count("\n")) == (1, 1)
    assert "cannot be reached" in error
    code, out, _ = run("restore", snapshot, "--trust", maker.trust, "--json", database_url=damaged_url)
    assert (code, json.loads(out)["restored"]) == (0, False)
    with connect(damaged_url) as connection:
        connection.execute("UPDATE index.blocks SET state_hash = ''")
    code, _, error = run("restore", snapshot, "--trust", maker.trust, database_url=damaged_url)
    assert (code, error) == (
        2,
        "simplicity: database is not empty: index.blocks has rows; restore into an empty database\n",
    )
    code, _, error = run("create", "--key", maker.path, "-o", maker.path.parent, database_url=damaged_url)
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith("simplicity: the index is damaged: block 1 does not follow from the one before")


@contextmanager
def held_up(url: str, mode: str, table: str) -> Iterator[psycopg.Connection[Any]]:
    """Hold a lock that a command has to wait for."""
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE index.{table} IN {mode} MODE".encode())
        yield connection


def wait_until_waiting(url: str, process: subprocess.Popen[bytes], within: float = 20) -> None:
    deadline = time.monotonic() + within
    with connect(url) as connection:
        while time.monotonic() < deadline:
            assert process.poll() is None
            row = connection.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).fetchone()
            if row != (0,):
                return
            time.sleep(0.01)
    raise AssertionError(f"does not wait within {within} s")


@contextmanager
def started(*arguments: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*SIMPLICITY, "snapshot", *arguments],
        env=os.environ | environment(url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize(
    ("table", "how"),
    [
        ("undo_balances", signal.SIGKILL),
        pytest.param("operations", signal.SIGTERM, marks=pytest.mark.proof),
        *(pytest.param(table, signal.SIGKILL, marks=pytest.mark.proof) for table in ("blocks", "deploys", "balances")),
    ],
)
def test_a_killed_restore_leaves_the_database_empty_and_can_be_run_again(
    *,
    database_url: str,
    sound_url: str,
    snapshot: Path,
    maker: KeyPair,
    run: Run,
    table: str,
    how: signal.Signals,
) -> None:
    restore = ("restore", "--trust", str(maker.trust), str(snapshot))
    with held_up(database_url, "SHARE", table), started(*restore, url=database_url) as process:
        wait_until_waiting(database_url, process)
        process.send_signal(how)
        process.wait(10)
        with connect(database_url) as connection:
            assert connection.execute("SELECT count(*) FROM index.blocks").fetchone() == (0,)
            assert connection.execute("SELECT count(*) FROM index.chain").fetchone() == (0,)
    with connect(database_url) as connection:  # the killed one's session ends by itself: its server process notices
        connection.execute(f"SELECT pg_advisory_lock({LockKey.WRITER.sql})")
    code, _, error = run(*restore, database_url=database_url)
    assert (code, error) == (0, "")
    assert exported(database_url) == exported(sound_url)


@pytest.mark.parametrize(
    ("how", "left"),
    [(signal.SIGTERM, []), pytest.param(signal.SIGKILL, [".snapshot.partial"], marks=pytest.mark.proof)],
)
def test_a_killed_create_leaves_no_snapshot_and_the_next_one_nothing_else(
    *,
    damaged_url: str,
    maker: KeyPair,
    tmp_path: Path,
    run: Run,
    how: signal.Signals,
    left: list[str],
) -> None:
    create = ("create", "--key", str(maker.path), "--output", str(tmp_path))
    with held_up(damaged_url, "ACCESS EXCLUSIVE", "deploys"), started(*create, url=damaged_url) as process:
        wait_until_waiting(damaged_url, process)
        assert [each.name for each in tmp_path.iterdir()] == [".snapshot.partial"]
        process.send_signal(how)
        process.wait(10)
    assert [each.name for each in tmp_path.iterdir()] == left
    code, _, error = run(*create, database_url=damaged_url)
    assert (code, error) == (0, "")
    assert [each.suffix for each in tmp_path.iterdir()] == [".snapshot"]
