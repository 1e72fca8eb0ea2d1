"""A release comes to a control node as it was signed, or not at all."""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from indexer.snapshot.keys import generate
from infra.environment import Driver
from runbooks.deploy.building import Order
from runbooks.deploy.errors import DeployError
from runbooks.deploy.store import Store, checks_of
from runbooks.deploy.wheels import Target
from tests.runbooks.engine.support import environment
from tests.support.scripts import script

if TYPE_CHECKING:
    from pathlib import Path

releases = script("releases")

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "simplicity"
version = "0.2.0"
[project.optional-dependencies]
indexer = []
[tool.hatch.build.targets.wheel]
only-include = ["indexer"]
"""


def git(where: Path, *words: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", "-C", str(where), *own, *words], check=True, capture_output=True)  # noqa: S607


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one commit that needs no other package."""
    where = tmp_path / "repository"
    migrations = where / "indexer/store/migrations/versions"
    migrations.mkdir(parents=True)
    (where / "pyproject.toml").write_text(PROJECT)
    (where / "indexer/__init__.py").touch()
    (migrations / "0001_a.py").write_text('revision = "0001"\ndown_revision = None\nkind = "expand"\n')
    (migrations / "0001_a.sql").write_text("CREATE TABLE a (b bigint);\n")
    (where / "requirements").mkdir()
    (where / "requirements/indexer.txt").touch()
    git(where, "init", "-q")
    git(where, "add", "-A")
    git(where, "commit", "-qm", "a commit")
    return where


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "release.key"
    generate(path)
    return path


@pytest.fixture
def built(tmp_path: Path, repository: Path, key: Path) -> tuple[Any, Path]:
    """The manifest and the archive of a release whose tests passed."""
    signing = releases.key_of(key, {})
    order = Order(
        repository=repository,
        ref="HEAD",
        target=Target(),
        out=tmp_path / "dist/releases",
        cache=tmp_path / "cache",
        sign=signing.sign,
        trusted=signing.trusted,
    )
    made, archive = releases.build_archive(order, ["tests", "scans"])
    return made, archive


def document(folder: Path, public: Path) -> Path:
    """The document of an environment that believes a key."""
    driver = Driver(kind="blue-green", settings={"trusted": str(public)})
    path = folder / "staging.json"
    environment("staging").model_copy(update={"drivers": {"deploy": driver}}).save(path)
    return path


def rewritten(archive: Path, name: str, content: bytes | None, *, kind: bytes = tarfile.REGTYPE) -> None:
    """Another archive in its place: one member with other content, a further one, or (None) one less."""
    with tarfile.open(archive) as tar:
        members = {
            member.name: file.read() for member in tar if (file := tar.extractfile(member)) and member.name != name
        }
    if content is not None:
        members[name] = content
    with tarfile.open(archive, "w") as tar:
        for each, text in members.items():
            member = tarfile.TarInfo(each)
            member.size, member.type = len(text), kind if each == name else tarfile.REGTYPE
            tar.addfile(member, io.BytesIO(text))


def test_a_release_is_taken_with_what_says_which_checks_it_passed(
    tmp_path: Path, built: tuple[Any, Path], key: Path
) -> None:
    made, archive = built
    into, trusted = Store(tmp_path / "home"), releases.trusted_by(document(tmp_path, key.with_name("release.key.pub")))
    for _ in range(2):  # again: it is there, and is verified
        assert releases.take(archive.parent, made.id, trusted, into) == made
        assert into.ids() == [made.id]
    statement = into.statement(checks_of(made.commit), trusted)
    assert statement is not None
    assert (statement["commit"], statement["results"]) == (made.commit, {"tests": "passed", "scans": "passed"})
    archive.unlink()  # it was taken before: no archive is needed
    assert releases.take(archive.parent, made.id, trusted, into) == made
    assert [path.name for path in into.home.iterdir() if path.name.startswith(".taking")] == []


def test_the_same_commit_gives_the_same_archive_when_it_is_packed_again(built: tuple[Any, Path]) -> None:
    made, archive = built
    before = archive.read_bytes()
    releases._pack(archive, archive.parent / "releases", made)  # noqa: SLF001 - what is asked
    assert archive.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("{id}/sbom.json", b"{}", "sbom.json was changed after it was signed"),
        ("{id}/sbom.json", None, "lacks sbom.json"),
        ("{id}/wheels/extra.whl", b"", "holds wheels/extra.whl, which was not signed"),
        ("{id}/manifest.json.sig", b"0" * 64, "is not signed by a key that this environment trusts"),
        ("../evil", b"", "holds '../evil', which is no part of a release"),
        ("/evil", b"", "holds '/evil', which is no part of a release"),
        ("{id}/../../evil", b"", "which is no part of a release"),
        ("0.1.0-000000000000/manifest.json", b"", "which is no part of a release"),
    ],
)
def test_a_byte_that_differs_is_refused_and_nothing_is_left(  # noqa: PLR0917 - cases and fixtures
    tmp_path: Path, built: tuple[Any, Path], key: Path, name: str, content: bytes | None, problem: str
) -> None:
    made, archive = built
    into, trusted = Store(tmp_path / "home"), releases.trusted_by(document(tmp_path, key.with_name("release.key.pub")))
    rewritten(archive, name.format(id=made.id), content)
    with pytest.raises(DeployError, match=problem.replace("..", r"\.\.")):
        releases.take(archive.parent, made.id, trusted, into)
    assert list(into.home.iterdir()) == []


def test_a_link_in_an_archive_is_refused(tmp_path: Path, built: tuple[Any, Path], key: Path) -> None:
    made, archive = built
    rewritten(archive, f"{made.id}/link", b"", kind=tarfile.SYMTYPE)
    trusted = releases.trusted_by(document(tmp_path, key.with_name("release.key.pub")))
    with pytest.raises(DeployError, match="no part of a release"):
        releases.take(archive.parent, made.id, trusted, Store(tmp_path / "home"))


def test_what_is_no_archive_is_one_line(tmp_path: Path, built: tuple[Any, Path], key: Path) -> None:
    made, archive = built
    archive.write_bytes(b"no archive at all" * 100)
    trusted = releases.trusted_by(document(tmp_path, key.with_name("release.key.pub")))
    with pytest.raises(DeployError, match="cannot be unpacked"):
        releases.take(archive.parent, made.id, trusted, Store(tmp_path / "home"))


def test_a_statement_that_somebody_else_signed_is_left_behind(
    tmp_path: Path, built: tuple[Any, Path], key: Path
) -> None:
    made, archive = built
    rewritten(archive, f".statements/{checks_of(made.commit)}.json.sig", b"0" * 64)
    into, trusted = Store(tmp_path / "home"), releases.trusted_by(document(tmp_path, key.with_name("release.key.pub")))
    releases.take(archive.parent, made.id, trusted, into)
    assert into.statement(checks_of(made.commit), trusted) is None


def test_a_release_of_another_key_is_refused(tmp_path: Path, built: tuple[Any, Path]) -> None:
    made, archive = built
    generate(tmp_path / "other.key")
    trusted = releases.trusted_by(document(tmp_path, tmp_path / "other.key.pub"))
    with pytest.raises(DeployError, match="is not signed by a key that this environment trusts"):
        releases.take(archive.parent, made.id, trusted, Store(tmp_path / "home"))


@pytest.mark.parametrize("name", ["", "../../etc", "0.2.0", "0.2.0-0123456789ab; id"])
def test_what_is_no_name_of_a_release_reaches_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeployError, match="is no release"):
        releases.take(tmp_path, name, lambda *_: True, Store(tmp_path / "home"))


def test_the_key_is_taken_from_the_variable_of_a_pipeline(key: Path) -> None:
    taken, other = releases.key_of(None, {"RELEASE_SIGNING_KEY": key.read_text()}), releases.key_of(key, {})
    assert other.trusted(b"words", taken.sign(b"words"))
    assert not other.trusted(b"others", taken.sign(b"words"))


def test_what_is_no_key_is_not_shown() -> None:
    with pytest.raises(DeployError, match=r"^RELEASE_SIGNING_KEY is no Ed25519 private key in PEM form; \S") as caught:
        releases.key_of(None, {"RELEASE_SIGNING_KEY": "s3cret"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "problem"),
    [([], "no key to sign with"), (["--key", "/nonexistent"], "there is no key to sign releases with")],
)
def test_without_a_key_nothing_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    monkeypatch.delenv("RELEASE_SIGNING_KEY", raising=False)
    monkeypatch.delenv("RELEASE_TAG", raising=False)
    assert releases.main(["build", *words]) == 1
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1


def test_a_tag_is_the_versions(repository: Path) -> None:
    releases.check_tag("v0.2.0", repository)
    releases.check_tag(None, repository)
    with pytest.raises(DeployError, match=r"the tag v0\.3\.0 is not v0\.2\.0"):
        releases.check_tag("v0.3.0", repository)
