"""Keys for tests without a server; one server with an index and its backups, made once, for those with one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from infra.environment import Driver
from runbooks.backup import keys
from tests.runbooks.backup.damaging import Scene
from tests.support.backups import Archiving, new_folder
from tests.support.postgres import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.backup.keys import Opening, Sealing
    from tests.runbooks.backup.story import Story


@pytest.fixture(scope="session")
def keys_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "keys"
    keys.make(folder)
    return folder


@pytest.fixture(scope="session")
def sealing(keys_folder: Path) -> Sealing:
    return keys.load_sealing(keys_folder)


@pytest.fixture(scope="session")
def opening(keys_folder: Path) -> Opening:
    return keys.load_opening(keys_folder)


@pytest.fixture(scope="session")
def server() -> Iterator[Archiving]:
    """A server that archives into its envelope's repository."""
    with Archiving.create() as running:
        yield running


@pytest.fixture(scope="session")
def story(server: Archiving, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """An index that grew while backups were made; what it came to lies in a copy that nothing changes."""
    from tests.runbooks.backup.story import told  # noqa: PLC0415 - takes what few tests need

    return told(server, tmp_path_factory.mktemp("story") / "repository")


class _Unsummarised(Cluster):
    """Archives to nowhere and keeps no summaries of its WAL."""

    settings = Cluster.settings | {"archive_mode": "on", "archive_command": "true"}


@pytest.fixture(scope="session")
def foreign() -> Iterator[Cluster]:
    """Another database cluster."""
    with _Unsummarised.create() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory for what is large; unlike `tmp_path` it is gone after the test."""
    made = new_folder("simplicity-backups-")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def scene(story: Story, folder: Path) -> Scene:
    """A copy of everything, to be damaged; its backup is an incremental one."""
    repository, secret = folder / "repository", folder / "keys"
    shutil.copytree(story.folder, repository)
    shutil.copytree(story.server.place.keys, secret)
    return Scene(repository, secret, story.repository.cluster, story.incremental.id)


@pytest.fixture
def environment(scene: Scene, story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The server's environment, with the scene's repository and keys."""
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    made = story.server.place.environment
    settings = made.drivers["backup"].settings | {
        "repository": scene.repository.as_uri(),
        "keys": str(scene.keys),
    }
    return made.model_copy(update={"drivers": made.drivers | {"backup": Driver(kind="physical", settings=settings)}})
