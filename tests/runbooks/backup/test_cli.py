"""`simplicity backup` as a person, PostgreSQL and a machine meet it."""

from __future__ import annotations

import json
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from infra.environment import Driver
from runbooks.backup import proofs, wal
from runbooks.backup.cli import app
from runbooks.backup.proofs import Proof
from runbooks.backup.repository import Repository
from tests.runbooks.backup.damaging import flip, forge_proof
from tests.support.backups import ID
from tests.support.processes import simplicity

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from infra.environment import Environment
    from tests.runbooks.backup.damaging import Scene
    from tests.runbooks.backup.story import Story

pytestmark = pytest.mark.xdist_group("backups")  # one worker has the server


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def document(environment: Environment, tmp_path: Path) -> str:
    path = tmp_path / "environment.json"
    environment.save(path)
    return f"--environment={path}"


def told(done: Result) -> str:
    """Return the one line that a failure says."""
    assert done.stderr.startswith("simplicity: "), done.output
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.output
    return done.stderr.strip()


def test_keys_are_made_once(tmp_path: Path) -> None:
    folder = str(tmp_path / "keys")
    done = run("keygen", folder)
    assert (done.exit_code, done.stdout) == (0, f"{folder}: made\n")
    assert stat.S_IMODE((tmp_path / "keys" / "identity").stat().st_mode) == 0o600
    again = run("keygen", folder)
    assert again.exit_code == 1
    assert told(again).endswith("has keys already, and keys are never overwritten")
    kept = run("keygen", "--if-missing", folder)
    assert (kept.exit_code, kept.stdout) == (0, f"{folder}: there already\n")


def test_keys_that_cannot_be_made_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("keygen", str(tmp_path / "file" / "keys"))
    assert done.exit_code == 1
    assert "Not a directory" in told(done)


@pytest.fixture
def fresh_keys(story: Story, tmp_path: Path) -> Path:
    """The server's keys, as on a host that has archived nothing yet."""
    copied = tmp_path / "keys"
    shutil.copytree(story.server.place.keys, copied, ignore=shutil.ignore_patterns("archiving-*"))
    return copied


def archive(story: Story, secret: Path, repository: str, path: str) -> Result:
    data = f"--data={story.server.envelope.directory('postgresql')}"
    return run("archive-wal", f"--repository={repository}", f"--keys={secret}", data, path)


def test_postgresqls_command_is_quiet_where_all_is_well_and_one_line_where_not(
    story: Story, fresh_keys: Path, tmp_path: Path
) -> None:
    name = story.full.id and wal.names(story.repository)[0]
    wal.fetch(story.repository, name, tmp_path / name, story.opening)
    place = (tmp_path / "repository").as_uri()
    early = archive(story, fresh_keys, place, str(tmp_path / name))
    assert (early.exit_code, early.output) == (0, "")
    assert not (tmp_path / "repository").exists(), "before the first backup nothing is kept"

    there = Repository(story.repository.store, story.full.cluster)
    began = (tmp_path / "repository" / "clusters" / there.cluster) / "cluster.json"
    began.parent.mkdir(parents=True)
    began.write_bytes(there.store.get(there.name("cluster.json")))
    for _ in range(2):
        done = archive(story, fresh_keys, place, str(tmp_path / name))
        assert (done.exit_code, done.output) == (0, "")
    assert (began.parent / "wal" / name).exists()

    content = bytearray((tmp_path / name).read_bytes())
    content[1_000_000] ^= 1
    (tmp_path / name).write_bytes(content)
    other = archive(story, fresh_keys, place, str(tmp_path / name))
    assert other.exit_code == 1
    assert told(other) == (
        f"simplicity: {name} is not archived: {name} is archived already with other content:"
        " two servers write to this repository"
    )


def test_a_repository_that_is_out_of_sight_is_no_empty_one(story: Story, fresh_keys: Path, tmp_path: Path) -> None:
    name = wal.names(story.repository)[0]
    wal.fetch(story.repository, name, tmp_path / name, story.opening)
    shutil.copytree(story.folder, tmp_path / "repository")
    (tmp_path / "repository" / "clusters" / story.full.cluster / "wal" / name).unlink()
    place = (tmp_path / "repository").as_uri()
    assert archive(story, fresh_keys, place, str(tmp_path / name)).exit_code == 0
    mark = fresh_keys / f"archiving-{story.full.cluster}"
    assert mark.exists()

    # The volume is not mounted: its directory is there, and empty.
    (tmp_path / "repository").rename(tmp_path / "mounted")
    (tmp_path / "repository").mkdir()
    done = archive(story, fresh_keys, place, str(tmp_path / name))
    assert done.exit_code == 1
    assert told(done) == (
        f"simplicity: {name} is not archived: {place} shows no backups, but had some: is it mounted? ({mark} says so)"
    )
    assert list((tmp_path / "repository").iterdir()) == []
    (tmp_path / "repository").rmdir()
    (tmp_path / "mounted").rename(tmp_path / "repository")
    assert archive(story, fresh_keys, place, str(tmp_path / name)).exit_code == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("000000010000000000000099", "No such file or directory"),
        ("postgresql.conf", "is no file that PostgreSQL archives"),
    ],
)
def test_what_cannot_be_archived_is_one_line_and_postgresql_asks_again(story: Story, name: str, words: str) -> None:
    done = archive(story, story.server.place.keys, story.folder.as_uri(), f"pg_wal/{name}")
    assert done.exit_code == 1
    assert words in told(done)
    assert told(done).startswith(f"simplicity: {name} is not archived: ")


@pytest.mark.parametrize("repository", ["nowhere", "file:///proc/nowhere/x", "s3://no_bucket"])
def test_a_repository_that_is_none_is_one_line(story: Story, fresh_keys: Path, tmp_path: Path, repository: str) -> None:
    (tmp_path / "000000010000000000000004").touch()
    done = archive(story, fresh_keys, repository, str(tmp_path / "000000010000000000000004"))
    assert done.exit_code == (0 if repository.startswith("file") else 1), (
        "nothing was begun in a folder that is not there"
    )
    assert not done.output or "is not archived" in told(done)


def test_without_a_data_directory_nothing_is_archived(story: Story, tmp_path: Path) -> None:
    words = [f"--repository={story.folder.as_uri()}", f"--keys={story.server.place.keys}", f"--data={tmp_path}"]
    done = run("archive-wal", *words, "pg_wal/000000010000000000000004")
    assert done.exit_code == 1
    assert "is no data directory of PostgreSQL" in told(done)


def test_the_command_line_of_the_server_itself_works_as_a_process(story: Story, tmp_path: Path) -> None:
    (tmp_path / "000000010000000000000099").touch()
    words = [f"--repository={story.folder.as_uri()}", f"--keys={story.server.place.keys}"]
    data = f"--data={story.server.envelope.directory('postgresql')}"
    done = simplicity("backup", "archive-wal", *words, data, str(tmp_path / "000000010000000000000099"), environment={})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "simplicity: 000000010000000000000099 is not archived: 000000010000000000000099 was written by cluster unknown,"
        f" not by {story.full.cluster}\n"
    )


def listed(document: str, code: int = 0) -> dict[str, Any]:
    done = run("list", "--json", document)
    assert done.exit_code == code, done.output
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_the_list_has_every_backup_oldest_first_and_says_that_none_is_proven(story: Story, document: str) -> None:
    found = listed(document)
    assert found["cluster"] == story.full.cluster
    assert [each["id"] for each in found["backups"]] == [each.id for each in story.backups]
    assert [each["proven"] for each in found["backups"]] == [False] * 3
    assert [each["parent"] for each in found["backups"]] == [None, story.full.id, story.full.id]
    assert [each["tip_height"] for each in found["backups"]] == [
        each.tip.height for each in story.backups if each.tip is not None
    ]
    assert (found["unusable"], found["unfinished"], found["failed_proofs"]) == ([], [], {})
    done = run("list", document)
    assert done.exit_code == 0
    assert done.stdout.count("UNPROVEN") == 3


def test_the_list_knows_proofs_failed_ones_and_forged_ones(story: Story, scene: Scene, document: str) -> None:
    forge_proof(scene)
    assert not any(each["proven"] for each in listed(document)["backups"])
    forge_proof(scene, scene.signer())
    assert [each["proven"] for each in listed(document)["backups"]] == [False, True, False]
    failed = Proof(
        backup=story.full.id,
        target="latest",
        at="2026-11-30T05:12:00+00:00",
        seconds=1.0,
        tip=None,
        checks={},
        failed="[red]wrong[/] from block 9 on",
    )
    proofs.record(scene.there, failed, scene.signer())
    assert listed(document)["failed_proofs"] == {story.full.id: failed.failed}
    done = run("list", document)
    assert f"PROOF FAILED: {story.full.id} at {failed.at}: [red]wrong[/] from block 9 on" in " ".join(
        done.stdout.split()
    )


def test_the_list_names_what_must_not_be_used_and_fails(story: Story, scene: Scene, document: str) -> None:
    flip(scene.file("manifest.json"), 0.7)
    (scene.folder / "backups" / ID).mkdir()
    (scene.folder / "backups" / ID / "base.tar.zst.age").write_bytes(b"x")
    found = listed(document, code=1)
    assert [each["id"] for each in found["unusable"]] == [story.incremental.id]
    assert found["unfinished"] == [ID]
    done = run("list", document)
    assert done.exit_code == 1
    assert "MUST NOT BE USED" in done.stdout
    assert f"unfinished: {ID}" in done.stdout


def test_an_empty_repository_says_how_the_first_one_is_made(scene: Scene, document: str) -> None:
    for path in scene.folder.glob("backups/*/manifest.json"):
        path.unlink()
    done = run("list", document)
    assert done.exit_code == 0
    assert "no backup yet: `simplicity backup create` makes one" in " ".join(done.stdout.split())


def test_a_whole_backup_is_verified_in_a_line_or_as_json(story: Story, document: str) -> None:
    done = run("verify", story.incremental.id, document)
    assert done.exit_code == 0, done.output
    assert "without a gap up to" in done.stdout
    found = json.loads(run("verify", story.incremental.id, "--json", document).stdout)
    assert found["chain"] == [story.full.id, story.incremental.id]


def test_a_damaged_or_unknown_backup_is_one_line_and_exit_code_1(scene: Scene, document: str) -> None:
    flip(scene.file("base.tar.zst.age"), 0.5)
    done = run("verify", scene.backup, document)
    assert done.exit_code == 1
    assert f"base.tar.zst.age of {scene.backup} is damaged" in told(done)
    for name in (ID, "../x"):
        done = run("verify", name, document)
        assert done.exit_code == 1
        assert "`simplicity backup list` shows them" in told(done)


def test_a_dry_prune_says_what_it_would_do_and_does_nothing(story: Story, scene: Scene, document: str) -> None:
    before = scene.there.store.names()
    done = run("prune", "--dry-run", document)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith("would have removed 0 backups, 0 unfinished ones and ")
    found = json.loads(run("prune", "--dry-run", "--json", document).stdout)
    assert (found["done"], found["removed"]) == (False, [])
    assert found["kept"].keys() == {each.id for each in story.backups}
    assert scene.there.store.names() == before


def test_a_prune_is_carried_out_and_stands_in_the_trail(story: Story, scene: Scene, document: str) -> None:
    from audit import trail  # noqa: PLC0415 - only here

    done = run("prune", "--json", document)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["done"] is True
    assert scene.there.ids() == [each.id for each in story.backups]
    with story.server.source.connected() as connection:
        head = trail.head(connection)
    assert head is not None
    assert head.facts["action"] == "backup.prune"


def test_configuration_comes_out_of_a_backup(story: Story, document: str, tmp_path: Path) -> None:
    done = run("configuration", story.full.id, str(tmp_path / "out"), document)
    assert done.exit_code == 0, done.output
    assert "environment.json" in done.stdout.splitlines()
    assert (tmp_path / "out" / "environment.json").exists()
    again = run("configuration", story.full.id, str(tmp_path / "out"), document)
    assert again.exit_code == 1
    assert "exists already; choose a new directory" in told(again)


def away(environment: Environment, path: Path) -> str:
    """Save an environment whose database does not answer."""
    where = environment.endpoints.database.model_copy(update={"port": 9})
    endpoints = environment.endpoints.model_copy(update={"database": where})
    environment.model_copy(update={"endpoints": endpoints}).save(path)
    return f"--environment={path}"


def test_without_the_database_the_only_cluster_is_meant_and_of_several_one_is_named(
    story: Story, scene: Scene, environment: Environment, tmp_path: Path
) -> None:
    document = away(environment, tmp_path / "away.json")
    assert [each["id"] for each in listed(document)["backups"]] == [each.id for each in story.backups]
    other = Repository(scene.there.store, "12")
    other.begin("other", None, scene.signer())
    done = run("list", document)
    assert done.exit_code == 1
    assert f"say --cluster, there are 12, {story.full.cluster}" in told(done)
    chosen = run("list", "--json", f"--cluster={story.full.cluster}", document)
    assert len(json.loads(chosen.stdout)["backups"]) == 3


def test_a_backup_that_fails_does_not_stand_in_the_way_of_the_next(environment: Environment, tmp_path: Path) -> None:
    document = away(environment, tmp_path / "away.json")
    for _ in range(2):
        done = run("create", document)
        assert done.exit_code == 4, done.output
        assert "is undone" in done.output


def test_an_environment_without_backups_says_what_makes_them(environment: Environment, tmp_path: Path) -> None:
    path = tmp_path / "without.json"
    drivers = {name: driver for name, driver in environment.drivers.items() if name != "backup"}
    environment.model_copy(update={"drivers": drivers}).save(path)
    done = run("list", f"--environment={path}")
    assert done.exit_code == 1
    assert "has no backups of this kind; `simplicity up` makes them ready" in told(done)
    for kind in ("aurora", "rds"):
        of_aws = {**drivers, "backup": Driver(kind=kind)}
        environment.model_copy(update={"drivers": of_aws}).save(path)
        done = run("list", f"--environment={path}")
        assert done.exit_code == 1
        assert "`simplicity infrastructure snapshots` looks after its snapshots" in told(done)
    done = run("list", f"--environment={tmp_path / 'nowhere.json'}")
    assert done.exit_code == 2
    assert "no environment here" in told(done)


def test_without_the_identity_a_verification_says_that_nothing_was_decrypted(
    story: Story, scene: Scene, document: str
) -> None:
    whole = json.loads(run("verify", scene.backup, "--json", document).stdout)
    (scene.keys / "identity").unlink()
    done = run("verify", scene.backup, document)
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(" (as stored: this host has no identity to decrypt by)\n")
    found = json.loads(run("verify", scene.backup, "--json", document).stdout)
    assert found == whole | {"decrypted": False}
    assert found["chain"] == [story.full.id, scene.backup]


def test_lost_keys_are_one_line(scene: Scene, document: str, tmp_path: Path) -> None:
    (scene.keys / "identity").unlink()
    done = run("configuration", scene.backup, str(tmp_path / "out"), document)
    assert done.exit_code == 1
    assert "identity is missing; `simplicity backup keygen` makes new keys" in told(done)
    (scene.keys / "signing.key.pub").unlink()
    done = run("list", document)
    assert done.exit_code == 1
    assert "backup keys: " in told(done)
