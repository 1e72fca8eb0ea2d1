"""The fuzzer at a small size, and that it finds what it is made to find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from indexer.bitcoin import rest
from indexer.bitcoin.block import internal
from tests.fuzz import bounds
from tests.fuzz.case import Depth
from tests.fuzz.engine import fuzz
from tests.fuzz.report import DEEPEST, shallow, unmet

if TYPE_CHECKING:
    from collections.abc import Callable

INPUTS = 2_000
FEW = 2  # of the error codes: the rarest may need more inputs than these; which ones are drawn changes with the vectors
ROOT = Path(__file__).parents[2]


def some(inputs: int) -> Callable[[int], bool]:
    return lambda done: done >= inputs


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments], check=False, capture_output=True, text=True, cwd=ROOT
    )


def test_nothing_is_raised_and_every_depth_and_verdict_is_reached() -> None:
    outcome = fuzz(7, is_over=some(INPUTS), names=[name for name in DEEPEST if name != "giant"])
    assert not outcome.findings, [finding.error for finding in outcome.findings.values()]
    assert outcome.inputs == INPUTS
    assert shallow(outcome) == []
    assert len(unmet(outcome)) <= FEW
    for name in ("block-bytes", "payload", "transaction", "spent", "script", "node"):
        tally = outcome.tallies[name]
        assert tally.reached(Depth.DECODED) < tally.inputs, f"{name} was never refused"


def test_the_same_seed_draws_the_same_inputs() -> None:
    first, second, other = (fuzz(seed, is_over=some(300), names=["payload", "script"]) for seed in (1, 1, 2))
    assert first == second != other


# --- What it is made to find ------------------------------------------------------------------------------------------


@pytest.fixture
def errors_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what is found by some inputs of a target once something is planted, and is not found before."""

    def errors(target: str, inputs: int, place: str, planted: object) -> str:
        # What inputs are drawn from is made here, by the code as it is.
        assert not fuzz(0, is_over=some(inputs), names=[target]).findings
        monkeypatch.setattr(place, planted)
        outcome = fuzz(0, is_over=some(inputs), names=[target])
        return "\n".join(finding.error for finding in outcome.findings.values())

    return errors


@pytest.mark.parametrize("target", ["block-bytes", "block-sealed"])
def test_an_exception_that_is_not_declared_is_found(errors_with: Callable[..., str], target: str) -> None:
    def planted(*_: object) -> None:
        raise KeyError("planted")

    assert "KeyError: 'planted'" in errors_with(target, 40, "indexer.bitcoin.block._require_end", planted)


def test_a_count_that_is_believed_is_found(errors_with: Callable[..., str]) -> None:
    honest = rest._varint  # noqa: SLF001 - what is planted wraps it

    def varint(data: bytes, position: int) -> tuple[int, int]:
        value, end = honest(data, position)
        bytearray(min(value, 1 << 40))
        return value, end

    assert "MemoryError" in errors_with("spent", 400, "indexer.bitcoin.rest._varint", varint)


def test_an_input_that_takes_too_long_is_found(
    errors_with: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forever(_script: bytes) -> bool:
        while True:
            pass

    monkeypatch.setattr(bounds, "SECONDS", 0.1)
    assert "TookTooLongError" in errors_with("script", 1, "tests.fuzz.decoding.is_der", forever)


def test_a_text_that_cannot_be_stored_is_found(errors_with: Callable[..., str]) -> None:
    assert "NUL cannot be stored" in errors_with("payload", 600, "indexer.protocol.fields._is_storable", lambda _: True)


@pytest.mark.parametrize(("target", "inputs"), [("script", 100), ("block-bent", 60)])
def test_a_verdict_that_only_one_implementation_gives_is_found(
    errors_with: Callable[..., str], target: str, inputs: int
) -> None:
    assert "AssertionError" in errors_with(target, inputs, "indexer.protocol.signature.SINGLE_ANYONECANPAY", 0x81)


def test_a_merkle_root_that_is_not_checked_is_found(errors_with: Callable[..., str]) -> None:
    found = errors_with("block-bytes", 200, "indexer.bitcoin.block._merkle_root", lambda _: bytes(32))
    assert "one reading accepts what the other refuses" in found


def test_a_lie_of_a_node_that_gets_through_is_found(errors_with: Callable[..., str]) -> None:
    assert "ValueError" in errors_with("node", 200, "indexer.bitcoin.source._hash", internal)


# --- The command ------------------------------------------------------------------------------------------------------


def test_a_finding_is_written_and_runs_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as planted:
        planted.setattr("indexer.protocol.signature.SINGLE_ANYONECANPAY", 0x81)
        (finding, *_) = fuzz(0, is_over=some(100), names=["script"]).findings.values()
    path = finding.write(tmp_path)
    ran = command("--replay", str(path))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "nothing breaks any more" in ran.stdout


def test_the_command_says_what_it_did() -> None:
    ran = command("--minutes", "0.05", "--seed", "3", "--only", "script", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert set(told["targets"]) == {"script"}
    assert told["targets"]["script"]["candidate"] > 0
    assert (told["findings"], told["shallow"], told["seed"]) == ([], [], 3)


def test_a_file_that_is_no_finding_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    ran = command("--replay", str(tmp_path / "x.json"))
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "x.json is no finding of the fuzzer" in ran.stderr
