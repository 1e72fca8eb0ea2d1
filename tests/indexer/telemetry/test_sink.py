from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.telemetry import sink as module
from indexer.telemetry.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


@contextmanager
def file_sink(path: Path) -> Iterator[Sink]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sink = Sink(descriptor)
    try:
        yield sink
    finally:
        sink.close()
        os.close(descriptor)


def test_lines_come_out_whole_and_in_order_from_many_threads(tmp_path: Path) -> None:
    def log(number: int) -> None:
        for count in range(500):
            sink.put(b"%d %d %s\n" % (number, count, b"x" * 50))

    with file_sink(tmp_path / "log") as sink:
        threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    for number in range(4):
        assert [int(count) for who, count, _ in lines if who == str(number)] == list(range(500))
    assert sink.dropped == 0


def test_a_line_is_written_without_anybody_closing_the_sink() -> None:
    read, write = os.pipe()
    sink = Sink(write)
    sink.write("first\n")
    assert os.read(read, 100) == b"first\n"
    sink.write("second\n")
    assert os.read(read, 100) == b"second\n"
    sink.close()
    os.close(read)
    os.close(write)


def test_a_line_after_the_end_is_written_by_the_next_close(tmp_path: Path) -> None:
    with file_sink(tmp_path / "log") as sink:
        sink.close()
        sink.put(b"late\n")
    assert (tmp_path / "log").read_bytes() == b"late\n"


def test_a_full_disk_drops_lines_and_raises_nothing() -> None:
    with file_sink(Path("/dev/full")) as sink:
        for _ in range(10):
            sink.put(b"no room\n")
    assert sink.dropped == 10


def test_a_closed_pipe_drops_lines_and_raises_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    sink = Sink(write)
    sink.put(b"nobody reads\n")
    sink.close()
    os.close(write)
    assert sink.dropped == 1


def test_while_nobody_reads_the_pipe_logging_goes_on_and_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LINES", 100)
    read, write = os.pipe()
    sink = Sink(write)
    line = b"x" * 9_999 + b"\n"
    for _ in range(500):
        sink.put(line)
    assert sink.dropped >= 300
    received = b""
    while len(received) < (500 - sink.dropped) * len(line):
        received += os.read(read, 65_536)
    sink.close()
    os.close(read)
    os.close(write)
    assert set(received.splitlines(keepends=True)) == {line}


def test_a_line_that_was_cut_off_does_not_spoil_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    room = [5, 0, 100, 100]

    def write(_descriptor: int, data: memoryview) -> int:
        now = room.pop(0)
        if not now:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(bytes(data[:now]))
        return len(written[-1])

    monkeypatch.setattr(os, "write", write)
    sink = Sink(-1)
    sink.close()
    for line in (b'{"a": 1}\n', b'{"b": 2}\n', b'{"c": 3}\n'):
        sink.put(line)
        sink.close()
    assert b"".join(written) == b'{"a":\n{"b": 2}\n{"c": 3}\n'
    assert sink.dropped == 1


def test_a_terminal_made_non_blocking_by_another_program_gets_every_line() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    sink = Sink(write)
    lines = [b"%06d %s\n" % (number, b"x" * 990) for number in range(300)]
    for line in lines:
        sink.put(line)
    received = b""
    while len(received) < 300 * 998:
        received += os.read(read, 65_536)
    sink.close()
    os.close(read)
    os.close(write)
    assert received == b"".join(lines)


def test_the_lines_of_both_kinds_of_log_are_there_when_the_process_has_ended() -> None:
    program = """
from indexer import log
from indexer.telemetry.access import AccessLog
from indexer.telemetry.sink import Sink
sink = Sink.on_stderr()
assert Sink.on_stderr() is sink
log.configure("INFO", sink)
log.get("a").info("first")
AccessLog(sink.put).write("/", "GET", 200, 0.001, request_id="r1")
log.request_id.set("r2")
try:
    1 / 0
except ZeroDivisionError:
    log.get("b").exception("third")
"""
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["message"] for line in lines] == ["first", "request", "third"]
    assert [line.get("request_id") for line in lines] == [None, "r1", "r2"]
    assert "ZeroDivisionError" in lines[2]["exception"]
    common = ["timestamp", "level", "logger", "message"]
    assert all(name in line for line in lines for name in common)
