"""Build a release from a commit: the project's wheel, all that it needs, the bill of materials, a signed manifest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from runbooks.deploy import migrations
from runbooks.deploy.bill import bill
from runbooks.deploy.errors import DeployError
from runbooks.deploy.manifest import BILL, REQUIREMENTS, WHEELS, Manifest, digest, files, release_id, verify, write
from runbooks.deploy.store import now
from runbooks.deploy.wheels import Pin, Target, gather, pins, requirement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOCK = "requirements/indexer.txt"
EXTRA = "indexer"
SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to build, and where it goes. `progress` hears how many of how many, and of what."""

    repository: Path
    ref: str
    target: Target
    out: Path
    cache: Path
    sign: Callable[[bytes], bytes]
    trusted: Callable[[bytes, bytes], bool]
    say: Callable[[str], None] = field(default=lambda _: None)
    progress: Callable[[int, int, str], None] = field(default=lambda *_: None)


@dataclass(frozen=True, slots=True)
class Built:
    """A release in its place; `fresh`: it was made now."""

    manifest: Manifest
    directory: Path
    fresh: bool


def build(order: Order) -> Built:
    """Build a release, or return the one that is there already. Raises DeployError; nothing is left of it then."""
    commit = commit_of(order.repository, order.ref)
    order.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=order.out) as folder:
        tree, release = Path(folder) / "tree", Path(folder) / "release"
        _export(order.repository, commit, tree)
        version = _version(tree)
        final = order.out / release_id(version, commit)
        if final.exists():
            return Built(verify(final, order.trusted), final, fresh=False)
        order.say(f"building {final.name} for Python {order.target.python} on {', '.join(order.target.machines)}")
        made = _made(order, tree, release, commit, version)
        write(release, made, order.sign)
        release.rename(final)
    return Built(made, final, fresh=True)


def commit_of(repository: Path, ref: str) -> str:
    """Return the commit of a clean tree. Raises DeployError where something in it is in no commit."""
    if _git(repository, "status", "--porcelain"):
        raise DeployError(
            f"{repository}: holds changes that are in no commit; commit them first: a release is a commit"
        )
    return _git(repository, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}").strip()


def _made(order: Order, tree: Path, release: Path, commit: str, version: str) -> Manifest:
    revisions = migrations.revisions(tree)
    problems = migrations.problems_of(tree, revisions)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise DeployError(f"its migrations do not let two releases run on one schema: {problems[0]}{more}")
    (release / WHEELS).mkdir(parents=True)
    made_at = now()
    own = _wheel(tree, release / WHEELS, order.repository, commit)
    lock = pins((tree / LOCK).read_text("utf-8"))
    found = gather(lock, order.target, order.cache, order.progress)
    for paths in found.values():
        for path in paths:
            shutil.copyfile(path, release / WHEELS / path.name)
    wheels = sorted((release / WHEELS).glob("*.whl"))
    (release / REQUIREMENTS).write_text(_requirements(found, own), encoding="utf-8")
    materials = bill(f"simplicity {version} {commit}", version, made_at, (path for path in wheels if path != own), own)
    (release / BILL).write_text(json.dumps(materials, indent=2) + "\n", encoding="utf-8")
    return Manifest(
        id=release_id(version, commit),
        version=version,
        commit=commit,
        made_at=made_at,
        python=order.target.python,
        newest=revisions[-1].revision,
        revisions=revisions,
        contracts_after={each.revision: each.after for each in revisions if each.after},
        files={name: digest(path) for name, path in files(release).items()},
    )


def _requirements(found: Mapping[Pin, list[Path]], own: Path) -> str:
    """Return what hosts install by: every wheel of the release by its hash, and nothing else."""
    name, version, _, _ = parse_wheel_filename(own.name)
    lines = [requirement(f"{name}[{EXTRA}]", str(version), frozenset({digest(own)}))]
    if isinstance(found, dict):
        lines += [
            requirement(pin.name, pin.version, frozenset(digest(path) for path in paths))
            for pin, paths in found.items()
        ]
    return "".join(lines)


def _export(repository: Path, commit: str, tree: Path) -> None:
    """Write the files of a commit: what lies about in the directory has no part in a release."""
    index = tree.with_suffix(".index")  # of our own: that of the directory stays as it is
    _git(repository, "read-tree", commit, index=index)
    _git(repository, "checkout-index", "--all", f"--prefix={tree}{os.sep}", index=index)
    index.unlink()


def _version(tree: Path) -> str:
    try:
        about = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))
        return str(about["project"]["version"])
    except (OSError, ValueError, KeyError):
        raise DeployError("pyproject.toml of this commit names no version") from None


def _wheel(tree: Path, out: Path, repository: Path, commit: str) -> Path:
    """Build the project's own wheel, the same bytes each time: its files are of the commit's time."""
    stamp = _git(repository, "show", "--no-patch", "--format=%ct", commit).strip()
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=tree,
            env={**os.environ, "SOURCE_DATE_EPOCH": stamp},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise DeployError(f"the wheel was not built within {SECONDS} s") from None
    made = sorted(out.glob("*.whl"))
    if done.returncode != 0 or len(made) != 1:
        raise DeployError(f"the wheel cannot be built: {_last(done.stderr) or _last(done.stdout)}")
    return made[0]


def _git(repository: Path, *words: str, index: Path | None = None) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(repository), *words],  # noqa: S607 # nosec B607 - whichever git a developer has
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, **({"GIT_INDEX_FILE": str(index)} if index else {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeployError(f"git cannot be run ({type(error).__name__})") from None
    if done.returncode != 0:
        raise DeployError(f"git {words[0]}: {_last(done.stderr)}")
    return done.stdout


def _last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1][:300] if lines else ""
