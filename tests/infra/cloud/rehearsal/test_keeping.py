"""Rehearsals that stay after the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from infra.cloud.rehearsal.emulator import EmulatorError, clients
from infra.cloud.rehearsal.keeping import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path / "rehearsal")
    yield made
    made.stop()


def test_an_emulator_that_is_kept_answers_until_it_is_stopped(kept: Kept) -> None:
    assert kept.endpoint() is None
    endpoint = kept.start()
    assert kept.endpoint() == endpoint
    assert clients(endpoint, "us-east-1")("sts").get_caller_identity()["Account"] == "123456789012"
    assert kept.directory.stat().st_mode & 0o777 == 0o700
    assert kept.stop()
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(endpoint, trust_env=False, timeout=5)
    assert kept.endpoint() is None
    assert not kept.stop()


def test_a_process_of_somebody_elses_that_has_the_number_now_is_left_alone(kept: Kept) -> None:
    kept.directory.mkdir()
    kept.emulator.write_text(json.dumps({"pid": 1, "born": "0 of another", "endpoint": "http://127.0.0.1:9"}))
    assert kept.endpoint() is None
    assert not kept.stop()


def test_a_note_that_is_damaged_is_as_none(kept: Kept) -> None:
    kept.directory.mkdir()
    kept.emulator.write_text("{")
    assert kept.endpoint() is None


def test_an_emulator_that_does_not_start_says_where_to_look(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.cloud.rehearsal.keeping.command", lambda _: ["false"])
    with pytest.raises(EmulatorError, match=r"does not start: see .*emulator\.log"):
        kept.start()


def test_whoever_is_interrupted_while_an_emulator_starts_leaves_none_behind(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[dict[str, object]] = []

    def interrupted(_: str) -> None:
        known.append(json.loads(kept.emulator.read_text()))
        assert kept.endpoint() is None
        raise KeyboardInterrupt

    monkeypatch.setattr("infra.cloud.rehearsal.keeping.command", lambda _: ["sh", "-c", "echo 9; exec sleep 600"])
    monkeypatch.setattr("infra.cloud.rehearsal.keeping.wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kept.start()
    assert known[0]["born"]
    assert not Path(f"/proc/{known[0]['pid']}").exists()
    assert not kept.emulator.exists()
