"""A release: what its manifest says, and whether the files beside it are the ones that were signed."""

from __future__ import annotations

import json
import os
import re
import stat
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runbooks.deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"
REQUIREMENTS, BILL, WHEELS = "requirements.txt", "sbom.json", "wheels"
# A version, and the first characters of the commit: what hosts and the API call a release.
ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_]{0,39}-[0-9a-f]{12}", re.ASCII)
COMMIT_SHOWN = 12
_MOST_BYTES = 1_000_000

Kind = Literal["expand", "contract"]


class Revision(BaseModel):
    """A migration: `expand` only adds, `contract` takes away what no release since version `after` needs.

    `sha256` is of its program and its SQL: what was applied once must never be another one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str = Field(pattern=r"^[0-9a-z_]{1,32}$")
    kind: Kind
    after: str | None = None
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What a release is. `revisions` in the order in which they are applied; `files` are paths with their SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    id: str
    version: str
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    made_at: str
    python: str
    newest: str = Field(alias="schema")
    revisions: tuple[Revision, ...]
    contracts_after: dict[str, str] = {}
    files: dict[str, str]

    def text(self) -> bytes:
        """Return it as it is signed."""
        return (json.dumps(self.model_dump(mode="json", by_alias=True), indent=2, sort_keys=True) + "\n").encode()


def release_id(version: str, commit: str) -> str:
    """Return what a release of this version and commit is called."""
    return f"{version}-{commit[:COMMIT_SHOWN]}"


def parse(text: bytes | str, where: str) -> Manifest:
    """Return a manifest. Raises DeployError, in which `where` says whose it is."""
    try:
        found = Manifest.model_validate(json.loads(text))
    except ValidationError as error:
        problem = error.errors()[0]
        raise DeployError(f"{where}: {'.'.join(map(str, problem['loc']))}: {problem['msg'].lower()}") from None
    except ValueError as error:
        raise DeployError(f"{where}: is no manifest ({error})") from None
    if found.id != release_id(found.version, found.commit) or not ID.fullmatch(found.id):
        raise DeployError(f"{where}: {found.id[:80]!r} is not what its version and commit make")
    return found


def read(directory: Path, trusted: Callable[[bytes, bytes], bool]) -> Manifest:
    """Return the manifest of a release once its signature is right. Raises DeployError."""
    text, signature = _bytes(directory / MANIFEST), _bytes(directory / SIGNATURE)
    if not trusted(text, signature):
        raise DeployError(f"{directory}: is not signed by a key that this environment trusts; it must not be used")
    found = parse(text, str(directory / MANIFEST))
    if found.id != directory.name:
        raise DeployError(f"{directory}: holds the release {found.id}: it was renamed; build or copy it again")
    return found


def verify(
    directory: Path, trusted: Callable[[bytes, bytes], bool], progress: Callable[[int, int], None] = lambda *_: None
) -> Manifest:
    """Return the manifest of a release whose every file is as it was signed, and that has no other. Raises DeployError.

    `progress` hears how many files of how many were read.
    """
    found = read(directory, trusted)
    there = files(directory)
    missing, strange = sorted(set(found.files) - set(there)), sorted(set(there) - set(found.files))
    if missing or strange:
        what = f"lacks {missing[0]}" if missing else f"holds {strange[0]}, which was not signed"
        raise DeployError(f"{directory}: {what}; it must not be used, build or copy it again")
    for number, (name, wanted) in enumerate(sorted(found.files.items()), start=1):
        if digest(there[name]) != wanted:
            raise DeployError(f"{directory}: {name} was changed after it was signed; it must not be used")
        progress(number, len(found.files))
    return found


def files(directory: Path) -> Mapping[str, Path]:
    """Return the files of a release but its manifest and signature, by their path. Raises DeployError for a link."""
    found = {}
    for path in sorted(directory.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            raise DeployError(f"{directory}: {path.name} is a link or a device; a release has files only")
        found[str(PurePosixPath(path.relative_to(directory)))] = path
    return {name: path for name, path in found.items() if name not in {MANIFEST, SIGNATURE}}


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    hashed = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hashed.update(block)
    return hashed.hexdigest()


def write(directory: Path, manifest: Manifest, sign: Callable[[bytes], bytes]) -> None:
    """Write a manifest and its signature, and let all of the release outlast a loss of power."""
    text = manifest.text()
    (directory / MANIFEST).write_bytes(text)
    (directory / SIGNATURE).write_bytes(sign(text))
    for path in (*files(directory).values(), directory / MANIFEST, directory / SIGNATURE, directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise DeployError(
            f"{path}: cannot be read ({error.strerror}); `simplicity deploy build` makes releases"
        ) from None


def versions(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, by which two can be compared: 0.10.2 is later than 0.9."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", text))


def as_fact(manifest: Manifest) -> dict[str, Any]:
    """Return what a run keeps of a release."""
    return {"id": manifest.id, "version": manifest.version, "commit": manifest.commit, "schema": manifest.newest}
