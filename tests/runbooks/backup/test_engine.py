"""The engine that runbooks drive: operations that are begun, polled, and gone on with by whoever comes next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from runbooks.backup.engine import local_backup_engine
from runbooks.drivers.operations import OperationStore, wait
from runbooks.drivers.protocols import Phase, Refusal
from tests.runbooks.backup.damaging import flip
from tests.support.backups import ID

if TYPE_CHECKING:
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.backup.engine import LocalBackupEngine
    from tests.runbooks.backup.damaging import Scene
    from tests.runbooks.backup.story import Story

pytestmark = pytest.mark.xdist_group("backups")  # one worker has the server


@pytest.fixture
def engine(environment: Environment, tmp_path: Path) -> LocalBackupEngine:
    return local_backup_engine(environment, OperationStore(tmp_path / "operations"))


def test_a_backup_is_made_once_however_often_it_is_polled(
    engine: LocalBackupEngine, environment: Environment, scene: Scene, story: Story, tmp_path: Path
) -> None:
    assert engine.create("a-key", "incremental").phase is Phase.RUNNING
    done = wait(engine, "a-key", within=60)
    assert (done.phase, done.result["backup"]) == (Phase.DONE, scene.there.ids()[-1]), done.detail
    assert "% less than the data, block " in done.detail
    made = scene.there.manifest(str(done.result["backup"]), story.opening.trusted)
    assert made.parent == story.differential.id
    again = local_backup_engine(environment, OperationStore(tmp_path / "operations"))
    assert again.create("a-key", "incremental") == again.poll("a-key") == done
    assert len(scene.there.ids()) == 4


def test_a_backup_that_was_complete_when_its_process_died_is_not_made_again(
    engine: LocalBackupEngine, scene: Scene, story: Story
) -> None:
    begun = engine.create("a-key", "full")
    engine.store.update(begun, detail="making it", result={"backup": story.full.id})
    began = time.monotonic()
    done = engine.poll("a-key")
    assert time.monotonic() - began < 2
    assert (done.phase, done.result["backup"]) == (Phase.DONE, story.full.id)
    assert scene.there.ids() == [each.id for each in story.backups]


def test_what_a_killed_process_left_of_a_backup_is_taken_up_under_the_same_id(
    engine: LocalBackupEngine, scene: Scene
) -> None:
    there = scene.there
    there.store.put(there.name("backups", ID, "base.tar.zst.age"), b"half")
    begun = engine.create("a-key", "full")
    engine.store.update(begun, detail="making it", result={"backup": ID})
    done = wait(engine, "a-key", within=60)
    assert (done.phase, done.result["backup"]) == (Phase.DONE, ID), done.detail
    assert there.unfinished() == []


def test_a_verification_says_what_it_read_or_why_not(engine: LocalBackupEngine, scene: Scene, story: Story) -> None:
    engine.verify("good", story.differential.id)
    done = wait(engine, "good", within=60)
    assert done.phase is Phase.DONE
    assert done.result["chain"] == [story.full.id, story.differential.id]
    flip(scene.file("base.tar.zst.age"), 0.5)
    engine.verify("bad", scene.backup)
    done = wait(engine, "bad", within=60)
    assert done.phase is Phase.FAILED
    assert done.detail.startswith(f"base.tar.zst.age of {scene.backup} is damaged")


def test_a_prune_says_what_stays(engine: LocalBackupEngine, story: Story) -> None:
    engine.prune("a-key")
    done = wait(engine, "a-key", within=60)
    assert done.phase is Phase.DONE
    assert done.detail.endswith("; 3 backups stay")
    assert [each.id for each in engine.backups()] == [each.id for each in story.backups]


def test_what_is_asked_wrongly_begins_nothing(engine: LocalBackupEngine) -> None:
    with pytest.raises(Refusal, match="there are no copy backups; there are full, incremental, differential"):
        engine.create("a-key", "copy")  # type: ignore[arg-type]  # what no type checker saw
    with pytest.raises(Refusal, match="say latest, a height, a block hash"):
        engine.restore("a-key", None, "tomorrow")
    with pytest.raises(Refusal, match="has begun no operation"):
        engine.poll("a-key")
    engine.create("a-key", "full")
    with pytest.raises(Refusal, match="take another key"):
        engine.prune("a-key")
