from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from runbooks.drivers.operations import OperationStore, claimed, own, wait
from runbooks.drivers.protocols import Operation, Phase, Refusal, require

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(__file__).parents[3]


def begin(store: OperationStore, key: str = "k", **changes: str) -> Operation:
    words = {"driver": "d", "action": "restart", "target": "sync"} | changes
    return store.begin(key, **words, arguments={"depth": 2, "names": ["a", "b"]})


def test_an_operation_is_read_back_by_another_process_as_it_was_written(store: OperationStore) -> None:
    operation = begin(store)
    operation = store.update(operation, detail="stopping", result={"pid": 7})
    operation = store.update(operation, detail="starting", result={"at": 1})
    assert OperationStore(store.directory).get("k") == operation
    assert (operation.detail, operation.result, operation.over) == ("starting", {"pid": 7, "at": 1}, False)


def test_the_directory_is_private_and_holds_one_file_an_operation(store: OperationStore) -> None:
    store.done(begin(store), detail="done", result={})
    store.failed(begin(store, "other"), detail="failed", result={})
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.directory.iterdir()} == {
        "k.json": 0o600,
        "other.json": 0o600,
    }
    assert [(one.key, one.phase) for one in store.all()] == [("k", Phase.DONE), ("other", Phase.FAILED)]


def test_the_same_key_with_the_same_words_is_the_same_operation(store: OperationStore) -> None:
    first = store.done(begin(store), detail="done", result={"pid": 8})
    assert first.ended is not None
    assert begin(store) == first


@pytest.mark.parametrize("change", [{"driver": "e"}, {"action": "stop"}, {"target": "api"}])
def test_the_same_key_with_other_words_is_refused(store: OperationStore, change: dict[str, str]) -> None:
    first = begin(store)
    with pytest.raises(Refusal, match=r"the key k has begun restart of sync \(d\) at .*; take another key"):
        begin(store, **change)
    with pytest.raises(Refusal, match="take another key"):
        store.begin("k", driver="d", action="restart", target="sync")
    assert store.get("k") == first


@pytest.mark.parametrize("key", ["", "a" * 101, "a/b", "../a", "a b", "a\n", "a\x00", "schlüssel", "a:b"])
def test_a_key_that_could_be_more_than_a_name_is_refused(store: OperationStore, key: str) -> None:
    with pytest.raises(Refusal, match="is no key; it has 1 to 100 characters") as caught:
        begin(store, key)
    assert "\n" not in str(caught.value)
    assert not store.directory.exists()


@pytest.mark.parametrize("key", ["a", "a" * 100, ".", "..", "-rf", "20261130T051200Z-restart-service-3f9a-restart"])
def test_every_other_key_has_a_record_in_the_directory(store: OperationStore, key: str) -> None:
    assert begin(store, key) == store.get(key)
    assert [path.name for path in store.directory.iterdir()] == [f"{key}.json"]


def test_an_unknown_key_is_no_operation(store: OperationStore) -> None:
    assert store.find("k") is None
    with pytest.raises(Refusal, match="the key k has begun no operation here"):
        store.get("k")
    assert store.all() == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"phase": "running"}', '{"phase": "over"}', "\xff"])
def test_a_damaged_record_is_one_clear_line(store: OperationStore, text: str) -> None:
    begin(store)
    (store.directory / "k.json").write_text(text, encoding="latin-1")
    with pytest.raises(Refusal, match=r"k\.json: is no record of an operation; see what it did"):
        store.get("k")


def test_a_record_that_cannot_be_read_is_one_clear_line(store: OperationStore) -> None:
    begin(store, "other")
    (store.directory / "k.json").mkdir()
    with pytest.raises(Refusal, match=r"k\.json: cannot be read \(Is a directory\)"):
        store.get("k")


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(Refusal, match="is not a directory of yours"):
        begin(OperationStore(tmp_path / "link"))


def test_of_many_who_begin_at_the_same_moment_all_have_the_same_operation(store: OperationStore) -> None:
    start = threading.Barrier(8)
    found: list[Operation | str] = []

    def one(target: str) -> None:
        start.wait()
        try:
            found.append(begin(store, target=target))
        except Refusal as refusal:
            found.append(str(refusal))

    threads = [threading.Thread(target=one, args=("sync" if n % 2 else "api",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    operations = [one for one in found if isinstance(one, Operation)]
    assert len(operations) == 4
    assert len({(one.target, one.began) for one in operations}) == 1


def test_a_record_is_whole_whenever_its_writer_is_killed(store: OperationStore) -> None:
    words = (
        "import sys; from pathlib import Path; from runbooks.drivers.operations import OperationStore\n"
        "store = OperationStore(Path(sys.argv[1])); operation = store.get('k')\n"
        "print('on', flush=True)\n"
        "for n in range(10**9): operation = store.update(operation, detail=str(n) * 500, result={'n': n})"
    )
    operation = begin(store)

    def is_written() -> bool:
        return "n" in store.get("k").result

    for _ in range(3):
        store.done(operation, detail="", result={})
        writer = subprocess.Popen(
            [sys.executable, "-c", words, str(store.directory)], cwd=CHECKOUT, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        with writer.stdout as told:
            assert told.readline() == b"on\n"
            wait_for(is_written)
        writer.kill()
        assert writer.wait() == -signal.SIGKILL
        seen = store.get("k").result["n"]
        assert isinstance(seen, int)
        assert store.get("k").detail == str(seen) * 500
    assert store.all() == [store.get("k")], "what a killed writer leaves is no operation"


def wait_for(happens: Callable[[], bool], *, within: float = 10) -> None:
    deadline = time.monotonic() + within
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


CLAIM = (
    "import sys; from pathlib import Path; from runbooks.drivers.operations import OperationStore, claimed\n"
    "with claimed(OperationStore(Path(sys.argv[1])), 'k') as claim: print(claim.mine, flush=True); sys.stdin.read()"
)


def test_a_claim_lasts_as_long_as_its_process_and_is_taken_over_when_that_was_killed(store: OperationStore) -> None:
    operation = begin(store)
    holder = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(store.directory)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        with claimed(store, "k") as claim:
            assert (claim.mine, claim.operation, claim.holder) == (False, operation, f"pid {holder.pid}")
        noted = json.loads((store.directory / "k.claim").read_text())
        assert noted["pid"] == holder.pid
        age = noted["started"] / os.sysconf("SC_CLK_TCK") + psutil.boot_time()
        assert age == pytest.approx(psutil.Process(holder.pid).create_time(), abs=2)
        holder.kill()
        holder.wait()
        with claimed(store, "k") as claim:
            assert (claim.mine, claim.holder) == (True, f"pid {os.getpid()}")


def test_a_claim_shows_the_operation_as_the_one_before_has_left_it(store: OperationStore) -> None:
    with claimed(store, begin(store).key) as first:
        assert first.mine
        done = store.done(first.operation, detail="done", result={})
        with claimed(store, "k") as second:
            assert not second.mine, "nor may another thread of the same process have it"
    with claimed(store, "k") as third:
        assert (third.mine, third.operation) == (True, done)


def test_a_claim_that_is_only_just_being_made_is_somebody_else_s(store: OperationStore) -> None:
    with claimed(store, begin(store).key):
        (store.directory / "k.claim").write_text("")
        with claimed(store, "k") as second:
            assert (second.mine, second.holder) == (False, "another process")


def test_what_was_never_begun_cannot_be_claimed(store: OperationStore) -> None:
    with pytest.raises(Refusal, match="has begun no operation here"), claimed(store, "k"):
        pass


@dataclass
class Counting:
    """A driver whose operation is over after some polls."""

    operation: Operation
    after: int
    polls: int = 0
    capabilities: frozenset[str] = field(default_factory=lambda: frozenset({"full", "encrypted"}))

    def poll(self, key: str) -> Operation:
        assert key == self.operation.key
        self.polls += 1
        phase = Phase.DONE if self.polls == self.after else Phase.RUNNING
        return replace(self.operation, phase=phase, detail=f"part {self.polls // 2}")


def test_waiting_ends_when_the_operation_is_over_and_tells_each_new_detail(store: OperationStore) -> None:
    driver = Counting(begin(store), after=4)
    heard: list[str] = []
    assert wait(driver, "k", 10, tell=lambda operation: heard.append(operation.detail)).phase is Phase.DONE
    assert (driver.polls, heard) == (4, ["part 0", "part 1", "part 2"])


def test_waiting_ends_in_time_with_an_operation_that_still_runs(store: OperationStore) -> None:
    began = time.monotonic()
    assert wait(Counting(begin(store), after=-1), "k", 0.25).phase is Phase.RUNNING
    assert 0.25 <= time.monotonic() - began < 1
    assert wait(Counting(begin(store), after=1), "k", 0).phase is Phase.DONE, "one look is always taken"


def test_an_operation_of_another_driver_is_refused(store: OperationStore) -> None:
    operation = begin(store)
    assert own(operation, "d") is operation
    with pytest.raises(Refusal, match="has begun restart of sync with the driver d, this is e; poll it there"):
        own(operation, "e")


def test_a_missing_capability_is_refused_with_those_that_there_are(store: OperationStore) -> None:
    driver = Counting(begin(store), after=1)
    require(driver, "full")
    with pytest.raises(Refusal, match=r"has no capability 'incremental' \(it has encrypted, full\)"):
        require(driver, "incremental")
