"""A disk that is full: what is measured, what is shown, and that no backup goes that was not shown."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from audit.objects import open_store
from runbooks.backup import keys
from runbooks.backup.manifest import pack
from runbooks.backup.repository import Repository
from runbooks.engine.arguments import parse_arguments
from runbooks.engine.lock import locked
from runbooks.engine.model import Halt
from runbooks.engine.wiring import runs_home
from runbooks.response import host, retained
from runbooks.response.books import hosts
from tests.runbooks.engine.support import environment
from tests.runbooks.response.support import carried_out, context, step_of
from tests.support.backups import a_manifest

if TYPE_CHECKING:
    from pathlib import Path

PLAN, PRUNE = step_of(hosts.DISK, "plan"), step_of(hosts.DISK, "prune")
TODAY, BEFORE, LONG_AGO = ((2026, 3, 9, 5), (2026, 3, 1, 6), (2026, 3, 1, 5))


class _Kept:
    """A repository that is there, and whether it was pruned."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        keys.make(folder / "keys")
        self.pruned = False
        self.repository = Repository(open_store((folder / "repository").as_uri()), a_manifest().cluster)
        self._signer = keys.load_sealing(folder / "keys").signer
        place = SimpleNamespace(repository=lambda: self.repository, keys=folder / "keys")
        monkeypatch.setattr(retained, "place", lambda *_: place)
        monkeypatch.setattr(hosts, "prune", self._prune)
        monkeypatch.setattr(hosts, "finished", lambda _: {"kept": ["one", "two"]})

    def add(self, *moment: int) -> str:
        ended = datetime(*moment, tzinfo=UTC)  # type: ignore[misc,arg-type] # year, month, day and hour
        made = a_manifest(id=f"{ended:%Y%m%dT%H%M%SZ}-full-0000", ended_at=ended.isoformat())
        name = self.repository.name("backups", made.id, "manifest.json")
        self.repository.store.put(name, pack(made, self._signer))
        return made.id

    def _prune(self, _: object) -> dict[str, str]:
        self.pruned = True
        return {"pruned": "removed 1 backups"}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Kept:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    return _Kept(tmp_path, monkeypatch)


def test_a_backup_goes_only_where_it_is_asked_for_and_after_it_was_shown(kept: _Kept, tmp_path: Path) -> None:
    assert parse_arguments(hosts.DISK.parameters, [])["prune"] == "no"
    assert not hosts.DISK.destroys_with(parse_arguments(hosts.DISK.parameters, []))
    assert hosts.DISK.destroys_with(parse_arguments(hosts.DISK.parameters, ["prune=yes"]))
    old, _, _ = kept.add(*LONG_AGO), kept.add(*BEFORE), kept.add(*TODAY)
    facts, seen = carried_out(PLAN, context(environment(), tmp_path))
    assert "prune=yes removes 1 backups (" in seen
    assert "2 stay" in seen
    assert seen.endswith(f"\n  {old}")
    assert "lies on the disk of /" in seen
    _, seen = carried_out(PRUNE, context(environment(), tmp_path, arguments={"prune": "no"}, facts=facts))
    assert (kept.pruned, seen) == (False, "nothing was to be removed")
    _, seen = carried_out(PRUNE, context(environment(), tmp_path, arguments={"prune": "yes"}, facts=facts))
    assert (kept.pruned, seen) == (True, "removed 1 backups; 2 backups stay")


def test_a_backup_that_was_not_shown_stays(kept: _Kept, tmp_path: Path) -> None:
    kept.add(*BEFORE)
    kept.add(*TODAY)
    facts, _ = carried_out(PLAN, context(environment(), tmp_path))
    late = kept.add(*LONG_AGO)
    at = context(environment(), tmp_path, arguments={"prune": "yes"}, facts=facts)
    with pytest.raises(Halt, match=f"{late} would be removed too by now"):
        PRUNE.act(at)
    with pytest.raises(Halt, match="was not put down"):
        PRUNE.act(context(environment(), tmp_path, arguments={"prune": "yes"}))
    assert not kept.pruned


def test_backups_in_the_making_keep_a_prune_out_and_runs_that_were_left_do_not(kept: _Kept, tmp_path: Path) -> None:
    kept.add(*TODAY)
    assert hosts.DISK.target({}) != retained.TARGET, "an unfinished run there would be in the way"
    facts, _ = carried_out(PLAN, context(environment(), tmp_path))
    at = context(environment(), tmp_path, arguments={"prune": "yes"}, facts=facts)
    with (
        locked(runs_home(), at.environment.name, retained.TARGET, "run of a backup"),
        pytest.raises(Halt, match=r"run of a backup .* is at work there"),
    ):
        PRUNE.act(at)
    PRUNE.act(at)
    assert kept.pruned


def test_a_repository_that_is_away_is_told_and_stops_only_who_wants_to_prune(tmp_path: Path) -> None:
    facts, seen = carried_out(PLAN, context(environment(), tmp_path))
    assert seen.startswith("what a prune would remove cannot be told: made-up has no backups of this kind")
    carried_out(PRUNE, context(environment(), tmp_path, arguments={"prune": "no"}, facts=facts))
    with pytest.raises(Halt, match="put the repository right"):
        PRUNE.act(context(environment(), tmp_path, arguments={"prune": "yes"}, facts=facts))


def test_where_a_repository_lies_is_told_by_its_disk(tmp_path: Path) -> None:
    assert "makes no room here" in retained.whereabouts("s3://bucket/prefix")
    assert "% of it in use" in retained.whereabouts(tmp_path.as_uri())
    assert "cannot be looked at (No such file" in retained.whereabouts((tmp_path / "none").as_uri())


def test_a_folder_that_takes_too_long_counts_for_at_least_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path))
    for name in ("restored", "local/postgresql"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_bytes(b"x" * 10_000)
    assert host.measured(tmp_path, time.monotonic() + 60)[0] >= 20_000
    assert host.measured(tmp_path, time.monotonic() - 1) == (0, False)
    found: Any = host.disks(context(environment(), tmp_path))
    assert {name.removeprefix(str(tmp_path)) for name in found["ours"]} == {"/restored", "/local/postgresql"}
    assert all(size >= 10_000 for size in found["ours"].values())
    monkeypatch.setattr(host, "MEASURE_SECONDS", -1.0)
    found = host.disks(context(environment(), tmp_path))
    assert set(found["ours"].values()) == {"at least 0"}
