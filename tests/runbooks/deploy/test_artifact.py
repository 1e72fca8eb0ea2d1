"""A release is exactly what was signed; one byte more, less or other, and nobody uses it."""

from __future__ import annotations

import json
import subprocess
import zipfile
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from infra.environment import Driver
from runbooks.deploy import keys
from runbooks.deploy.bill import bill
from runbooks.deploy.building import Order, build
from runbooks.deploy.errors import DeployError
from runbooks.deploy.manifest import MANIFEST, SIGNATURE, verify, versions
from runbooks.deploy.store import Store
from runbooks.deploy.wheels import Target, gather, pins
from tests.runbooks.engine.support import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.deploy.building import Built

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "simplicity"
version = "0.2.0"
requires-python = ">=3.11"
[project.optional-dependencies]
indexer = []
[tool.hatch.build.targets.wheel]
only-include = ["indexer"]
"""


def wheel(folder: Path, name: str, tag: str = "py3-none-any", licence: str = "License-Expression: MIT") -> Path:
    """A wheel with metadata and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{licence}\n"
        )
    return path


def hashed(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def signing(tmp_path: Path) -> Environment:
    """An environment that signs."""
    settings = {"signing_key": str(tmp_path / "secrets" / "key"), "trusted": str(tmp_path / "key.pub")}
    made = environment()
    return made.model_copy(update={"drivers": {"deploy": Driver(kind="blue-green", settings=settings)}})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one commit, whose lock names a wheel that is in the cache."""
    where = tmp_path / "repository"
    migrations = where / "indexer" / "store" / "migrations" / "versions"
    migrations.mkdir(parents=True)
    (where / "pyproject.toml").write_text(PROJECT)
    (where / "indexer" / "__init__.py").write_text("")
    (migrations / "0001_a.py").write_text('revision = "0001"\ndown_revision = None\nkind = "expand"\n')
    (migrations / "0001_a.sql").write_text("CREATE TABLE a (b bigint);\n")
    needed = wheel(tmp_path / "cache", "needed")
    (where / "requirements").mkdir()
    (where / "requirements" / "indexer.txt").write_text(f"needed==1.0 \\\n    --hash=sha256:{hashed(needed)}\n")
    git(where, "init", "-q")
    commit(where)
    return where


def git(where: Path, *words: str) -> None:
    own = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", "-C", str(where), *own, *words], check=True, capture_output=True)  # noqa: S607


def commit(where: Path) -> None:
    git(where, "add", "-A")
    git(where, "commit", "-qm", "a commit")


@pytest.fixture
def building(tmp_path: Path, signing: Environment, repository: Path) -> Callable[[], Built]:
    keys.make(signing)
    private, public = keys.paths(signing)

    def make() -> Built:
        return build(
            Order(
                repository=repository,
                ref="HEAD",
                target=Target(),
                out=tmp_path / "releases",
                cache=tmp_path / "cache",
                sign=keys.signer(private),
                trusted=keys.trust(public),
            )
        )

    return make


def test_a_release_is_built_once_and_holds_what_was_signed(building: Callable[[], Built], signing: Environment) -> None:
    made = building()
    assert made.fresh
    assert made.manifest.id.startswith("0.2.0-")
    assert sorted(made.manifest.files) == [
        "requirements.txt",
        "sbom.json",
        "wheels/needed-1.0-py3-none-any.whl",
        "wheels/simplicity-0.2.0-py3-none-any.whl",
    ]
    requirements = (made.directory / "requirements.txt").read_text()
    assert requirements.startswith("simplicity[indexer]==0.2.0 \\\n    --hash=sha256:")
    assert requirements.count("--hash") == 2
    assert verify(made.directory, keys.trust(keys.paths(signing)[1])) == made.manifest
    assert not building().fresh
    assert not list(made.directory.parent.glob(".building-*"))


def test_a_release_is_a_commit(building: Callable[[], Built], repository: Path) -> None:
    (repository / "indexer" / "more.py").write_text("")
    with pytest.raises(DeployError, match="in no commit"):
        building()


def test_a_release_that_breaks_the_one_before_is_not_built(building: Callable[[], Built], repository: Path) -> None:
    versions_ = repository / "indexer" / "store" / "migrations" / "versions"
    (versions_ / "0001_a.sql").write_text("DROP TABLE a;\n")
    commit(repository)
    with pytest.raises(DeployError, match="do not let two releases run"):
        building()
    assert not [path for path in (repository.parent / "releases").iterdir() if path.name[0] != "."]


@pytest.mark.parametrize("damage", ["changed", "missing", "more", "manifest", "link", "renamed", "signature"])
def test_a_byte_that_was_not_signed_is_refused(
    building: Callable[[], Built], signing: Environment, damage: str
) -> None:
    directory = building().directory
    victim = directory / "wheels" / "needed-1.0-py3-none-any.whl"
    if damage == "changed":
        content = bytearray(victim.read_bytes())
        content[10] ^= 1
        victim.write_bytes(content)
    elif damage == "missing":
        victim.unlink()
    elif damage == "more":
        (directory / "wheels" / "more.whl").write_bytes(b"")
    elif damage == "manifest":
        path = directory / MANIFEST
        path.write_text(path.read_text().replace("0.2.0", "0.3.0"))
    elif damage == "link":
        moved = victim.rename(directory.parent / "elsewhere")
        victim.symlink_to(moved)
    elif damage == "renamed":
        directory = directory.rename(directory.with_name("0.9.0-000000000000"))
    else:
        (directory / SIGNATURE).write_bytes(b"0" * 64)
    with pytest.raises(DeployError):
        verify(directory, keys.trust(keys.paths(signing)[1]))


def test_keys_are_made_once_and_others_are_not_believed(signing: Environment, tmp_path: Path) -> None:
    private, public = keys.make(signing)
    assert private.stat().st_mode & 0o777 == 0o600
    with pytest.raises(DeployError, match="never overwritten"):
        keys.make(signing)
    signature = keys.signer(private)(b"text")
    assert keys.trust(public)(b"text", signature)
    assert not keys.trust(public)(b"other", signature)
    with pytest.raises(DeployError, match="no key to sign"):
        keys.signer(tmp_path / "none")
    with pytest.raises(DeployError, match="no key to trust"):
        keys.trust(tmp_path / "none")
    with pytest.raises(DeployError, match="names no key"):
        keys.paths(environment())


def test_a_statement_that_was_changed_says_nothing(signing: Environment, tmp_path: Path) -> None:
    private, public = keys.make(signing)
    store, trusted = Store(tmp_path / "releases"), keys.trust(public)
    path = store.state("checks-abc", {"results": {"tests": "failed"}}, keys.signer(private))
    assert store.statement("checks-abc", trusted) == {"results": {"tests": "failed"}}
    path.write_text(path.read_text().replace("failed", "passed"))
    assert store.statement("checks-abc", trusted) is None
    assert store.statement("checks-none", trusted) is None


def test_the_lock_is_read_for_the_hosts_python_and_not_for_ours() -> None:
    one = "a" * 64
    lock = (
        f"a==1.0 ; python_full_version < '3.11.3' \\\n    --hash=sha256:{one}\n    # via b\n"
        f"b[extra]==2.0 ; python_version >= '3.13' \\\n    --hash=sha256:{one}\n"
        f"c==3.0 ; sys_platform == 'win32' --hash=sha256:{one}\nd==4.0 --hash=sha256:{one}\n"
    )
    found = pins(lock)
    assert [each.name for each in found] == ["a", "b", "c", "d"]
    assert [each.name for each in found if each.wanted(Target("3.13"), "x86_64")] == ["b", "d"]
    with pytest.raises(DeployError, match="neither an exact version"):
        pins("a>=1.0\n")
    with pytest.raises(DeployError, match="neither an exact version"):
        pins("a==1.0\n")


def test_a_wheel_of_the_cache_is_taken_for_its_machine_and_its_hash_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    fits = wheel(cache, "a", "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64")
    other = wheel(cache, "a", "cp312-cp312-manylinux_2_17_x86_64")
    lock = pins(f"a==1.0 --hash=sha256:{hashed(fits)} --hash=sha256:{hashed(other)}\n")
    told: list[tuple[int, int]] = []
    found = gather(lock, Target(), cache, lambda done, total, _: told.append((done, total)))
    assert found == {lock[0]: [fits]}
    assert told[-1] == (1, 1)
    monkeypatch.setattr("runbooks.deploy.wheels._download", lambda *_: iter(()))
    fits.write_bytes(fits.read_bytes() + b"more")
    with pytest.raises(DeployError, match="has no wheel for Python"):
        gather(lock, Target(), cache, lambda *_: None)


def test_the_bill_names_every_wheel_with_its_licence(tmp_path: Path) -> None:
    own = wheel(tmp_path, "simplicity", licence="License-Expression: Apache-2.0")
    one = wheel(tmp_path, "one", "cp313-cp313-manylinux_2_17_x86_64")
    two = wheel(tmp_path, "one", "cp313-cp313-manylinux_2_17_aarch64")
    classified = wheel(
        tmp_path, "classified", licence="License: UNKNOWN\nClassifier: License :: OSI Approved :: BSD License"
    )
    silent = wheel(tmp_path, "silent", licence="")
    made = json.loads(json.dumps(bill("r", "0.2.0", "2026-11-30T15:00:00+00:00", [one, two, classified, silent], own)))
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    by_name = {each["name"]: each for each in made["components"]}
    assert by_name["one"]["purl"] == "pkg:pypi/one@1.0"
    assert {each["content"] for each in by_name["one"]["hashes"]} == {hashed(one), hashed(two)}
    assert by_name["one"]["licenses"] == [{"expression": "MIT"}]
    assert by_name["classified"]["licenses"] == [{"license": {"name": "BSD License"}}]
    assert "licenses" not in by_name["silent"]
    assert made["metadata"]["component"]["name"] == "simplicity"


def test_versions_are_compared_as_numbers() -> None:
    assert versions("0.10.2") > versions("0.9")
