"""Snapshots and restores of Amazon's databases: beside what runs, never over it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.environment import Driver
from runbooks.drivers import aws_restores
from runbooks.drivers.aws import Aws, GoneError, ThereError
from runbooks.drivers.aws_database import ManagedDatabase
from runbooks.drivers.aws_restores import tags_of
from runbooks.drivers.aws_snapshot_calls import Calls, Snapshot
from runbooks.drivers.aws_snapshots import SnapshotEngine, parsed
from runbooks.drivers.operations import OperationStore, wait
from runbooks.drivers.protocols import Phase, Refusal
from tests.runbooks.drivers.cloud import Cloud


@pytest.fixture
def aurora(cloud: Cloud, store: OperationStore) -> SnapshotEngine:
    cloud.make_aurora()
    return SnapshotEngine(cloud.document, store)


@pytest.fixture
def rds(cloud: Cloud, store: OperationStore) -> SnapshotEngine:
    cloud.make_rds()
    return SnapshotEngine(cloud.document, store)


def _of(engine: SnapshotEngine, name: str) -> dict[str, Any]:
    found = engine.calls.database(name)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_a_snapshot_is_made_once_listed_and_looked_for(kind: str, request: pytest.FixtureRequest) -> None:
    engine: SnapshotEngine = request.getfixturevalue(kind)
    engine.create("20261130T051200Z.a1", "full")
    made = wait(engine, "20261130T051200Z.a1", 20)
    backup = str(made.result["backup"])
    assert (made.phase, backup) == (Phase.DONE, f"{engine.database.identifier}-20261130t051200z-a1")
    again = SnapshotEngine(engine.environment, OperationStore(engine.store.directory))
    assert again.create("20261130T051200Z.a1", "full").phase is Phase.DONE
    assert [each.id for each in engine.backups()].count(backup) == 1
    engine.verify("v", backup)
    assert wait(engine, "v", 20).detail == f"AWS has {backup}, whole and encrypted; what is in it only a restore shows"


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_a_snapshot_that_a_killed_process_has_begun_is_not_made_twice(
    kind: str, request: pytest.FixtureRequest
) -> None:
    engine: SnapshotEngine = request.getfixturevalue(kind)
    name = f"{engine.database.identifier}-k"
    engine.calls.create(name, tags_of(engine.database.described(), "k"))
    before = len(engine.backups())
    engine.create("k", "full")
    assert wait(engine, "k", 20).phase is Phase.DONE
    assert len(engine.backups()) == before


def test_what_is_no_snapshot_is_refused(aurora: SnapshotEngine) -> None:
    with pytest.raises(Refusal, match="snapshots are full ones, not incremental"):
        aurora.create("k", "incremental")
    done = aurora.verify("v", "nothing")
    assert (done.phase, "nothing" in done.detail) == (Phase.FAILED, True)


def test_a_moment_is_restored_to_a_new_cluster_with_a_server_beside_the_one_that_runs(
    cloud: Cloud, aurora: SnapshotEngine
) -> None:
    before = aurora.database.described()
    aurora.restore("k", None, "look")
    done = wait(aurora, "k", 20)
    name = cloud.named("look")
    assert (done.phase, done.result["identifier"]) == (Phase.DONE, name)
    restored = _of(aurora, name)
    assert done.result["host"] == restored["Endpoint"] != before["Endpoint"]
    assert [each["DBInstanceIdentifier"] for each in restored["DBClusterMembers"]] == [f"{name}-1"]
    assert (restored["StorageEncrypted"], restored["DBClusterParameterGroup"]) == (
        True,
        before["DBClusterParameterGroup"],
    )
    tags = {each["Key"]: each["Value"] for each in restored["TagList"]}
    assert (tags["project"], tags["Name"], tags["simplicity-operation"]) == ("simplicity", name, "k")
    after = aurora.database.described()
    assert after["DBClusterMembers"] == before["DBClusterMembers"]


def test_a_moment_of_rds_is_restored_to_a_new_instance(cloud: Cloud, rds: SnapshotEngine) -> None:
    rds.restore("k", None, "look")
    done = wait(rds, "k", 20)
    assert (done.phase, done.result.get("identifier", done.detail)) == (Phase.DONE, cloud.named("look"))
    assert not _of(rds, cloud.named("look")).get("PubliclyAccessible")


def test_a_snapshot_is_restored_to_a_new_database(cloud: Cloud, store: OperationStore) -> None:
    # The emulator restores none of a cluster whose password AWS keeps.
    cloud.make_aurora(1, MasterUserPassword="made-up-for-a-test")
    engine = SnapshotEngine(cloud.document, store)
    engine.create("k", "full")
    backup = str(wait(engine, "k", 20).result["backup"])
    engine.restore("r", backup, "from-snapshot")
    done = wait(engine, "r", 20)
    assert (done.phase, done.result["identifier"]) == (Phase.DONE, cloud.named("from-snapshot"))


def test_a_snapshot_of_rds_is_restored_to_a_new_instance(cloud: Cloud, rds: SnapshotEngine) -> None:
    rds.create("k", "full")
    backup = str(wait(rds, "k", 20).result["backup"])
    rds.restore("r", backup, "from-snapshot")
    done = wait(rds, "r", 20)
    assert (done.phase, done.result.get("identifier", done.detail)) == (Phase.DONE, cloud.named("from-snapshot"))


def test_a_restore_that_was_cut_off_is_gone_on_with_by_a_new_process(cloud: Cloud, aurora: SnapshotEngine) -> None:
    aurora.restore("k", None, "look")
    again = SnapshotEngine(cloud.document, OperationStore(aurora.store.directory))
    again.restore("k", None, "look")
    assert wait(again, "k", 20).phase is Phase.DONE


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_nothing_is_restored_over_what_is_there(kind: str, cloud: Cloud, request: pytest.FixtureRequest) -> None:
    engine: SnapshotEngine = request.getfixturevalue(kind)
    for target in ("database", cloud.named("database")):
        with pytest.raises(Refusal, match="nothing is ever restored over one: take another name"):
            engine.restore("k", None, target)
    assert engine.store.all() == []
    engine.store.begin(
        "k",
        driver="managed-snapshots",
        action="restore",
        target=cloud.named("database"),
        arguments={"backup": "", "moment": ""},
    )
    assert "not of this operation" in engine.poll("k").detail


def test_a_moment_that_cannot_be_restored_is_refused_with_those_that_can(aurora: SnapshotEngine) -> None:
    for moment in (datetime.now(UTC) - timedelta(days=400), datetime.now(UTC) + timedelta(days=1)):
        with pytest.raises(Refusal, match=r"cannot be restored; what can: from 20.* to 20"):
            aurora.restore("k", None, f"look@{moment.isoformat()}")
    with pytest.raises(Refusal, match="name a snapshot, or a moment"):
        aurora.restore("k", "some", "look@2026-11-30T05:12:00Z")


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("Look", "is no target"),
        ("look@yesterday", "no moment with its zone"),
        ("look@2026-11-30T05:12:00", "no moment with its zone"),
        ("l" * 60, "is too long"),
    ],
)
def test_a_target_that_is_none_is_refused(target: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        parsed(Aws(environment="production", region="us-east-1"), target)


def test_a_target_names_the_new_database_and_its_moment() -> None:
    where = Aws(environment="production", region="us-east-1")
    assert parsed(where, "look@2026-11-30T05:12:00+01:00") == (
        "simplicity-production-look",
        datetime(2026, 11, 30, 4, 12, tzinfo=UTC),
    )
    assert parsed(where, "simplicity-production-look") == ("simplicity-production-look", None)


def test_pruning_removes_old_snapshots_of_ours_and_nothing_else(cloud: Cloud, aurora: SnapshotEngine) -> None:
    for key in ("k", "l"):
        aurora.create(key, "full")
        wait(aurora, key, 20)
    aurora.calls.create(f"{cloud.named('database')}-by-hand", [])
    driver = Driver(kind="aurora", settings={**cloud.drivers["backup"].settings, "keep_days": "0"})
    cloud.drivers["backup"] = driver
    engine = SnapshotEngine(cloud.document, aurora.store)
    before = {each.id for each in engine.backups()}
    engine.prune("p")
    removed = set(wait(engine, "p", 20).result["removed"])  # type: ignore[arg-type]
    assert removed == {f"{cloud.named('database')}-k"}, "the newest of ours stays"
    assert {each.id for each in engine.backups()} == before - removed


@pytest.fixture
def nowhere(store: OperationStore, monkeypatch: pytest.MonkeyPatch) -> SnapshotEngine:
    """Snapshots of a database of which nothing is asked."""
    monkeypatch.setattr(ManagedDatabase, "described", lambda _: {"TagList": []})
    driver = Driver(kind="aurora", settings={"identifier": "database"})
    return SnapshotEngine(Cloud("http://127.0.0.1:9", "unit", {"failover": driver, "backup": driver}).document, store)


def _snapshot(name: str, days: int, made_by: str, kind: str = "manual", status: str = "available") -> Snapshot:
    return Snapshot(
        id=f"database-{name}",
        type=kind,
        status=status,
        percent=100,
        made=datetime.now(UTC) - timedelta(days=days),
        encrypted=True,
        key="",
        gib=1,
        tags={"simplicity-operation": made_by} if made_by else {},
    )


def test_pruning_leaves_the_newest_whole_one_of_ours_and_all_that_is_not_ours(
    nowhere: SnapshotEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [
        _snapshot("being-made", 60, "being-made", status="creating"),
        _snapshot("k", 50, "k"),
        _snapshot("automated", 45, "automated", kind="automated"),
        _snapshot("by-hand", 44, ""),
        _snapshot("of-a-restored-one", 43, "r"),
        _snapshot("l", 40, "L"),
        _snapshot("fresh-by-hand", 1, ""),
    ]
    removed: list[str] = []
    monkeypatch.setattr(Calls, "all", lambda _: there)
    monkeypatch.setattr(Calls, "delete", lambda _, name: removed.append(name))
    done = nowhere.prune("p")
    assert (done.phase, removed) == (Phase.DONE, ["database-k"])


@pytest.mark.parametrize(("made_by", "phase"), [("k", Phase.DONE), ("K", Phase.FAILED)])
def test_a_snapshot_that_is_there_already_is_ours_where_its_tag_says_so(
    nowhere: SnapshotEngine, monkeypatch: pytest.MonkeyPatch, made_by: str, phase: Phase
) -> None:
    looks: list[str] = []

    def one(_: Calls, name: str) -> Snapshot:
        looks.append(name)
        if len(looks) == 1:
            raise GoneError("not shown yet")
        return _snapshot("k", 0, made_by)

    def create(*_: object) -> None:
        raise ThereError("rds create-db-cluster-snapshot: there is one")

    monkeypatch.setattr(Calls, "one", one)
    monkeypatch.setattr(Calls, "create", create)
    begun = nowhere.create("k", "full")
    assert (begun.phase, begun.detail) == (Phase.RUNNING, "database-k is begun")
    monkeypatch.setattr("runbooks.drivers.aws_operating._looked", {})
    assert nowhere.poll("k").phase is phase


@pytest.mark.parametrize(("made_by", "phase"), [("k", Phase.RUNNING), ("l", Phase.FAILED)])
def test_a_restored_database_that_is_there_already_is_ours_where_its_tag_says_so(
    nowhere: SnapshotEngine, monkeypatch: pytest.MonkeyPatch, made_by: str, phase: Phase
) -> None:
    shown = {"Status": "creating", "TagList": [{"Key": "simplicity-operation", "Value": made_by}]}
    there: list[dict[str, Any] | None] = [None, None, shown]

    def begin(*_: object) -> None:
        raise ThereError("rds restore-db-cluster-to-point-in-time: there is one")

    monkeypatch.setattr(Calls, "database", lambda *_: there.pop(0))
    monkeypatch.setattr(aws_restores, "_begin", begin)
    assert nowhere.restore("k", None, "look").phase is Phase.RUNNING
    assert nowhere.poll("k").phase is phase


def test_a_server_of_somebody_else_s_does_not_become_a_restored_cluster_s(
    nowhere: SnapshotEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {
        "Status": "available",
        "DBClusterMembers": [],
        "TagList": [{"Key": "simplicity-operation", "Value": "k"}],
    }
    there: list[dict[str, Any] | None] = [None, shown]
    monkeypatch.setattr(Calls, "database", lambda *_: there.pop(0))
    monkeypatch.setattr(aws_restores, "instance", lambda *_: {"TagList": []})
    done = nowhere.restore("k", None, "look")
    assert (done.phase, "not of this operation; take another name" in done.detail) == (Phase.FAILED, True)
