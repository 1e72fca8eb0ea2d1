"""Entries that wait for a database: none is lost, none is doubled, nobody waits long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from audit import spool, trail
from audit.chain import examine
from audit.entry import canonical
from audit.spool import Recorder, SpoolError
from tests.audit.writing import made
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from audit.trail import Connection

    Refused = Callable[[], Iterator[Connection]]

_FLUSHER = """
import sys
from pathlib import Path
import psycopg
from audit.spool import Recorder
recorder = Recorder(Path(sys.argv[1]), lambda: psycopg.connect(sys.argv[2], autocommit=True))
print("ready", flush=True)
sys.stdin.read(1)
recorder.flush()
"""
_WRITER = """
import sys
from pathlib import Path
from audit.entry import entry
from audit.spool import Recorder
def away(): raise OSError("no database")
recorder = Recorder(Path(sys.argv[1]), away)
for number in range(10_000):
    recorder.record(entry("thing.change", f"thing {number}"))
    print(number, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.ndjson"


@pytest.fixture
def recorder(path: Path, database_url: str) -> Recorder:
    return Recorder(path, lambda: psycopg.connect(database_url, autocommit=True))


def away(path: Path) -> Recorder:
    """A recorder whose database is down."""
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    return Recorder(path, lambda: psycopg.connect(url, autocommit=True))


def targets(connection: Connection) -> list[str]:
    return [link.facts["target"] for link in trail.links(connection)]


def test_with_a_database_an_entry_is_in_the_trail_at_once(recorder: Recorder, connection: Connection) -> None:
    assert recorder.record(made(1))

    assert targets(connection) == ["thing 1"]
    assert recorder.flush() == 0


def test_without_one_entries_wait_and_go_in_their_order_later(
    path: Path, recorder: Recorder, connection: Connection
) -> None:
    for number in (1, 2, 3):
        assert not away(path).record(made(number))
    assert recorder.record(made(4))

    assert targets(connection) == ["thing 1", "thing 2", "thing 3", "thing 4"]
    assert examine(trail.links(connection)) == []


def test_the_file_is_its_owners_and_holds_no_secret(path: Path) -> None:
    away(path).record(made(1, arguments={"password": "hunter2"}))

    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert "hunter2" not in path.read_text()
    assert json.loads(path.read_text())["target"] == "thing 1"


def test_many_that_wait_go_in_batches(
    path: Path, recorder: Recorder, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_BATCH", 3)
    path.write_bytes(b"".join(canonical(made(number).as_dict()).encode() + b"\n" for number in range(8)))

    assert recorder.flush() == 8
    assert targets(connection) == [f"thing {number}" for number in range(8)]
    assert path.read_bytes() == b""


def test_a_database_without_the_trail_leaves_entries_waiting(path: Path, empty_database_url: str) -> None:
    recorder = Recorder(path, lambda: psycopg.connect(empty_database_url, autocommit=True))

    assert not recorder.record(made(1))
    with pytest.raises(psycopg.errors.InvalidSchemaName):
        recorder.flush()
    assert len(path.read_text().splitlines()) == 1


def test_a_server_that_hangs_costs_three_seconds_once(path: Path, connection: Connection, database_url: str) -> None:
    """As a hang is for a client: the server answers nothing, and closes nothing."""
    go_on = threading.Event()

    @contextmanager
    def hanging() -> Iterator[Connection]:
        go_on.wait(60)
        with psycopg.connect(database_url, autocommit=True) as opened:
            yield opened

    recorder = Recorder(path, hanging)
    began = time.monotonic()
    assert not recorder.record(made(1))
    assert time.monotonic() - began < 4
    began = time.monotonic()
    for number in (2, 3, 4):
        assert not recorder.record(made(number))
    assert time.monotonic() - began < 2
    go_on.set()

    recorder.record(made(5))
    recorder.flush()
    assert targets(connection) == [f"thing {number}" for number in range(1, 6)]


def test_a_lock_that_somebody_holds_on_the_trail_is_not_waited_for_long(
    recorder: Recorder, connection: Connection
) -> None:
    with connection.transaction():
        trail.lock(connection)
        began = time.monotonic()
        assert not recorder.record(made(1))
        assert time.monotonic() - began < 4

    assert recorder.flush() == 1


@pytest.mark.parametrize(
    ("rest", "left"),
    [
        (canonical(made(9).as_dict())[:-1].encode(), []),
        (b"\xff", []),
        (canonical(made(9).as_dict()).encode(), ["thing 9"]),
    ],
    ids=["a part of an entry", "no UTF-8", "an entry without its line's end"],
)
def test_of_a_torn_last_line_only_a_part_of_an_entry_is_dropped(
    path: Path, recorder: Recorder, connection: Connection, rest: bytes, left: list[str]
) -> None:
    path.write_bytes(canonical(made(1).as_dict()).encode() + b"\n" + rest)

    assert recorder.record(made(2))
    assert targets(connection) == ["thing 1", *left, "thing 2"]


def test_a_line_that_is_no_entry_is_recorded_as_such_and_holds_up_none(
    path: Path, recorder: Recorder, connection: Connection
) -> None:
    path.write_bytes(b"damaged\n" + canonical(made(1).as_dict()).encode() + b"\n")

    assert recorder.flush() == 2
    damaged, good = (link.facts for link in trail.links(connection))
    assert (damaged["action"], damaged["after"]["begin"]) == ("audit.spool.damaged", "damaged\n")
    assert good["target"] == "thing 1"


def test_what_was_committed_and_not_yet_removed_is_not_doubled(
    path: Path, recorder: Recorder, connection: Connection
) -> None:
    away(path).record(made(1))
    before = path.read_bytes()
    recorder.flush()
    path.write_bytes(before)  # as a kill between the two leaves it

    assert recorder.flush() == 1
    assert targets(connection) == ["thing 1"]


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_a_flush_that_is_killed_loses_and_doubles_nothing(
    path: Path, database_url: str, recorder: Recorder, connection: Connection, after: float
) -> None:
    path.write_bytes(b"".join(canonical(made(number).as_dict()).encode() + b"\n" for number in range(600)))
    with subprocess.Popen(
        [sys.executable, "-c", _FLUSHER, str(path), database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write(b"x")
        process.stdin.flush()
        time.sleep(after)  # where it is killed is what the parameter is about
        process.kill()

    deadline = time.monotonic() + 30
    while path.read_bytes():
        assert time.monotonic() < deadline, "the killed one's server process holds the lock"
        recorder.record(made(600))
        recorder.flush()
    assert targets(connection)[:600] == [f"thing {number}" for number in range(600)]


def test_a_writer_that_is_killed_loses_nothing_that_it_was_told_is_kept(
    path: Path, recorder: Recorder, connection: Connection
) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        kept = [int(process.stdout.readline()) for _ in range(30)]
        process.send_signal(signal.SIGKILL)
        kept += [int(line) for line in process.stdout]

    recorder.flush()
    found = targets(connection)
    assert found[: len(kept)] == [f"thing {number}" for number in kept]
    assert len(found) <= len(kept) + 1


def test_recorders_of_one_file_do_not_clash(path: Path, database_url: str, connection: Connection) -> None:
    def write(writer: int) -> None:
        mine = Recorder(path, lambda: psycopg.connect(database_url, autocommit=True))
        for number in range(10):
            mine.record(made(100 * writer + number))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Recorder(path, lambda: psycopg.connect(database_url, autocommit=True)).flush()

    found = targets(connection)
    assert sorted(found) == sorted(f"thing {100 * writer + number}" for writer in range(3) for number in range(10))
    for writer in range(3):
        mine = [each for each in found if int(each.split()[1]) // 100 == writer]
        assert mine == sorted(mine, key=lambda each: int(each.split()[1]))


def test_while_another_flushes_nothing_is_done(path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    away(path).record(made(1))
    monkeypatch.setattr(spool, "PATIENCE", 0.1)
    with recorder._locked("flush"):  # noqa: SLF001 - another process holds it
        assert recorder.flush() == 0

    assert recorder.flush() == 1


def test_an_entry_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match=r"thing.change .thing 1. cannot be kept \(.*make room"):
        away(tmp_path / "file" / "spool").record(made(1))


def test_a_file_that_vanishes_leaves_the_answer_no(
    path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(target: object, *rest: int) -> int:
        if refusing and str(target) == str(path):
            raise PermissionError(13, "Permission denied")
        return opened(target, *rest)  # type: ignore[arg-type]  # as given

    refusing: list[bool] = []
    flush = recorder.flush

    def flushed() -> int:
        refusing.append(True)
        return 0

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(recorder, "flush", flushed)
    assert not recorder.record(made(1))
    refusing.clear()
    assert flush() == 1
