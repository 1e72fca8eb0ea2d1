"""What can happen to a repository of backups, by accident or by somebody's hand, as a table of named damages.

Each takes a Scene, which is a copy that it may spoil, and returns what has to be said of it, and by whom. `refusals`
tries what an operator would: a command that proves something can loop over DAMAGES with it.
"""

from __future__ import annotations

import io
import shutil
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.objects import ObjectStoreError, open_store
from runbooks.backup import keys, manifest, restore, wal
from runbooks.backup.errors import BackupError
from runbooks.backup.manifest import Part
from runbooks.backup.repository import Repository
from runbooks.backup.restoring import known_of
from runbooks.backup.sealed import seal, sign, signed_body
from runbooks.backup.target import Target, plan
from runbooks.backup.verifying import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runbooks.backup.manifest import Manifest

VERIFY, RESTORE = "verify", "restore"
BOTH = frozenset({VERIFY, RESTORE})


@dataclass(frozen=True)
class Scene:
    """A repository's directory and the keys, to be spoilt; `backup` is the id of one that builds on another one.

    After it there are at least three segments of WAL.
    """

    repository: Path
    keys: Path
    cluster: str
    backup: str

    @property
    def there(self) -> Repository:
        return Repository(open_store(self.repository.as_uri()), self.cluster)

    @property
    def folder(self) -> Path:
        return self.repository / "clusters" / self.cluster

    @property
    def manifest(self) -> Manifest:
        return self.there.manifest(self.backup, keys.load_trusted(self.keys))

    @property
    def parent(self) -> str:
        parent = self.manifest.parent
        assert parent is not None, "the backup has to be one that builds on another one"
        return parent

    @property
    def segments(self) -> list[str]:
        """The WAL that leads on from the backup, in order."""
        return wal.way(wal.names(self.there), self.manifest, {}).there

    def file(self, name: str, backup: str = "") -> Path:
        return self.folder / "backups" / (backup or self.backup) / name

    def segment(self, index: int) -> Path:
        return self.folder / "wal" / self.segments[index]

    def signer(self) -> Ed25519PrivateKey:
        return keys.load_sealing(self.keys).signer


class Expected(NamedTuple):
    """Words that are said in the one line, and by whom: a verification, a restore, or both."""

    words: str
    by: frozenset[str] = BOTH


def refusals(scene: Scene, folder: Path) -> dict[str, Exception]:
    """Verify and restore the scene's backup; return what each was refused with. `folder` takes the restored files."""
    tried: dict[str, Callable[[], object]] = {
        VERIFY: lambda: verified(scene),
        RESTORE: lambda: fetched(scene, folder),
    }
    found: dict[str, Exception] = {}
    for name, attempt in tried.items():
        try:
            attempt()
        except (BackupError, ObjectStoreError) as error:
            found[name] = error
    return found


def verified(scene: Scene) -> object:
    return verify(scene.there, scene.backup, scene.keys)


def fetched(scene: Scene, folder: Path) -> int:
    """Do what a restore does before it starts a server."""
    opening, there = keys.load_opening(scene.keys), scene.there
    there.about(opening.trusted)
    backup, (backups, _) = there.manifest(scene.backup, opening.trusted), there.backups(opening.trusted)
    chosen = plan(Target("latest"), known_of(there, opening, backups, None), backup)
    folder.mkdir(parents=True)
    return restore.fetch(there, chosen, opening, folder)


def flip(path: Path, share: float) -> None:
    """Flip a bit of a file: the first byte at 0, the last one at 1."""
    data = bytearray(path.read_bytes())
    data[round((len(data) - 1) * share)] ^= 0x10
    path.write_bytes(data)


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _flipped(name: str, share: float) -> Callable[[Scene], Expected]:
    def damage(scene: Scene) -> Expected:
        flip(scene.file(name), share)
        return Expected(f"{name} of {scene.backup} is damaged: its bytes are not those that were written")

    return damage


def _base_truncated(scene: Scene) -> Expected:
    cut(scene.file("base.tar.zst.age"), 0.5)
    return Expected(f"base.tar.zst.age of {scene.backup} is damaged")


def _base_lengthened(scene: Scene) -> Expected:
    with scene.file("base.tar.zst.age").open("ab") as file:
        file.write(b"\0")
    return Expected(f"base.tar.zst.age of {scene.backup} is damaged")


def _base_of_another(scene: Scene) -> Expected:
    shutil.copy(scene.file("base.tar.zst.age", scene.parent), scene.file("base.tar.zst.age"))
    return Expected(f"base.tar.zst.age of {scene.backup} is damaged")


def _base_emptied(scene: Scene) -> Expected:
    scene.file("base.tar.zst.age").write_bytes(b"")
    return Expected(f"base.tar.zst.age of {scene.backup} is damaged")


def _missing(name: str) -> Callable[[Scene], Expected]:
    def damage(scene: Scene) -> Expected:
        scene.file(name).unlink()
        return Expected(f"{name} of {scene.backup} is missing; use another backup")

    return damage


def _list_flipped(scene: Scene) -> Expected:
    flip(scene.file("files.json.zst"), 0.5)
    return Expected(f"the list of files of {scene.backup} is damaged")


def _list_truncated(scene: Scene) -> Expected:
    cut(scene.file("files.json.zst"), 0.9)
    return Expected(f"the list of files of {scene.backup} is damaged")


def _list_of_another(scene: Scene) -> Expected:
    shutil.copy(scene.file("files.json.zst", scene.parent), scene.file("files.json.zst"))
    return Expected(f"the list of files of {scene.backup} is damaged")


def _configuration_flipped(scene: Scene) -> Expected:
    flip(scene.file("configuration.tar.zst.age"), 0.5)
    return Expected(f"configuration.tar.zst.age of {scene.backup} is damaged", frozenset({VERIFY}))


def _manifest_flipped(scene: Scene) -> Expected:
    flip(scene.file("manifest.json"), 0.6)
    return Expected(f"the manifest of {scene.backup} is not signed by a trusted key: damaged, replaced or forged")


def _manifest_truncated(scene: Scene) -> Expected:
    cut(scene.file("manifest.json"), 0.03)
    return Expected(f"the manifest of {scene.backup} is damaged or no part of a backup")


def _manifest_missing(scene: Scene) -> Expected:
    scene.file("manifest.json").unlink()
    return Expected(f"there is no backup {scene.backup}; `simplicity backup list` shows them")


def _manifest_of_another(scene: Scene) -> Expected:
    parent = scene.parent
    shutil.copy(scene.file("manifest.json", parent), scene.file("manifest.json"))
    return Expected(f"the manifest of {scene.backup} was replaced by that of {parent}")


def _manifest_of_a_stranger(scene: Scene) -> Expected:
    scene.file("manifest.json").write_bytes(manifest.pack(scene.manifest, Ed25519PrivateKey.generate()))
    return Expected(f"the manifest of {scene.backup} is not signed by a trusted key")


def _manifest_of_another_release(scene: Scene) -> Expected:
    value: dict[str, Any] = msgspec.to_builtins(scene.manifest) | {"format": 2, "more": 1}
    scene.file("manifest.json").write_bytes(sign(msgspec.json.encode(value), scene.signer()))
    return Expected(f"the manifest of {scene.backup} cannot be read by this release; use the release that made it")


def _of_another_cluster(scene: Scene) -> Expected:
    """Somebody copies a backup of another cluster, made with the very same keys, into this one's folder."""
    value: dict[str, Any] = msgspec.to_builtins(scene.manifest) | {"cluster": "1234"}
    foreign = msgspec.convert(value, manifest.Manifest)
    scene.file("manifest.json").write_bytes(manifest.pack(foreign, scene.signer()))
    return Expected(f"the manifest of {scene.backup} is of another database cluster (1234)")


def _parent_missing(scene: Scene) -> Expected:
    parent = scene.parent
    shutil.rmtree(scene.file("", parent))
    return Expected(f"{scene.backup} builds on {parent}, which is gone")


def _parent_flipped(scene: Scene) -> Expected:
    parent = scene.parent
    flip(scene.file("base.tar.zst.age", parent), 0.5)
    return Expected(f"base.tar.zst.age of {parent} is damaged")


def _parent_of_itself(scene: Scene) -> Expected:
    value: dict[str, Any] = msgspec.to_builtins(scene.manifest) | {"parent": scene.backup}
    circular = msgspec.convert(value, manifest.Manifest)
    scene.file("manifest.json").write_bytes(manifest.pack(circular, scene.signer()))
    return Expected(f"{scene.backup} builds on itself")


def _wal_flipped(share: float) -> Callable[[Scene], Expected]:
    def damage(scene: Scene) -> Expected:
        path = scene.segment(1)
        flip(path, share)
        return Expected(f"WAL file {path.name} is ")

    return damage


def _wal_truncated(scene: Scene) -> Expected:
    path = scene.segment(1)
    cut(path, 0.7)
    return Expected(f"WAL file {path.name} is not signed by a trusted key")


def _wal_missing(index: int) -> Callable[[Scene], Expected]:
    def damage(scene: Scene) -> Expected:
        path = scene.segment(index)
        path.unlink()
        return Expected(f"WAL after backup {scene.backup} is missing: {path.name}")

    return damage


def _wal_replaced(scene: Scene) -> Expected:
    path, other = scene.segment(1), scene.segment(2)
    shutil.copy(other, path)
    return Expected(f"WAL file {path.name} was replaced by {other.name} of cluster {scene.cluster}")


def _wal_of_another_cluster(scene: Scene) -> Expected:
    path = scene.segment(1)
    path.write_bytes(_archived(scene, path.name, "1234", scene.signer()))
    return Expected(f"WAL file {path.name} was replaced by {path.name} of cluster 1234")


def _wal_of_a_stranger(scene: Scene) -> Expected:
    path = scene.segment(1)
    path.write_bytes(_archived(scene, path.name, scene.cluster, Ed25519PrivateKey.generate()))
    return Expected(f"WAL file {path.name} is not signed by a trusted key")


def _archived(scene: Scene, name: str, cluster: str, key: Ed25519PrivateKey) -> bytes:
    with closing(io.BytesIO()) as target:
        sums = seal(io.BytesIO(bytes(1 << 20)), target, keys.load_sealing(scene.keys).recipient)
        front = msgspec.json.encode(wal.Archived(cluster, name, Part.of("wal", sums)))
        return sign(front + b"\n" + target.getvalue(), key)


def _wrong_identity(scene: Scene) -> Expected:
    other = scene.keys.with_name("other-keys")
    keys.make(other)
    shutil.copy(other / keys.IDENTITY, scene.keys / keys.IDENTITY)
    return Expected("is encrypted for another key; give the identity it was made for")


def _wrong_trust(scene: Scene) -> Expected:
    other = scene.keys.with_name("other-keys")
    keys.make(other)
    shutil.copy(other / f"{keys.SIGNING}.pub", scene.keys / f"{keys.SIGNING}.pub")
    return Expected("is not signed by a trusted key")


def _identity_lost(scene: Scene) -> Expected:
    (scene.keys / keys.IDENTITY).unlink()
    return Expected(f"{scene.keys / keys.IDENTITY} is missing", frozenset({RESTORE}))


def _owner_flipped(scene: Scene) -> Expected:
    flip(scene.folder / "cluster.json", 0.9)
    return Expected(f"cluster.json of {scene.cluster} is not signed by a trusted key", frozenset({RESTORE}))


def _owner_of_another(scene: Scene) -> Expected:
    path = scene.folder / "cluster.json"
    value = msgspec.json.decode(signed_body(path.read_bytes(), keys.load_trusted(scene.keys), name="it"))
    path.write_bytes(sign(msgspec.json.encode(value | {"cluster": "1234"}), scene.signer()))
    return Expected("is of another database cluster (1234)", frozenset({RESTORE}))


def _checkpoints_flipped(scene: Scene) -> Expected:
    path = next((scene.folder / "checkpoints").iterdir())
    flip(path, 0.5)
    return Expected(f"{path.name} is not signed by a trusted key")


DAMAGES: dict[str, Callable[[Scene], Expected]] = {
    "a flipped byte in the front of the base": _flipped("base.tar.zst.age", 0.0),
    "a flipped byte in the middle of the base": _flipped("base.tar.zst.age", 0.5),
    "a flipped byte at the end of the base": _flipped("base.tar.zst.age", 1.0),
    "a base that is cut off": _base_truncated,
    "a base with a byte more": _base_lengthened,
    "a base of another backup": _base_of_another,
    "an empty base": _base_emptied,
    "a missing base": _missing("base.tar.zst.age"),
    "a flipped byte in the list of files": _list_flipped,
    "a list of files that is cut off": _list_truncated,
    "a list of files of another backup": _list_of_another,
    "a missing list of files": _missing("files.json.zst"),
    "a flipped byte in the configuration": _configuration_flipped,
    "a flipped byte in the manifest": _manifest_flipped,
    "a manifest that is cut off": _manifest_truncated,
    "a missing manifest": _manifest_missing,
    "a manifest of another backup": _manifest_of_another,
    "a manifest signed by a stranger": _manifest_of_a_stranger,
    "a manifest of another release": _manifest_of_another_release,
    "a backup of another cluster": _of_another_cluster,
    "a missing parent": _parent_missing,
    "a flipped byte in the parent": _parent_flipped,
    "a backup that builds on itself": _parent_of_itself,
    "a flipped byte in the front of a WAL file": _wal_flipped(0.0),
    "a flipped byte in a WAL file": _wal_flipped(0.6),
    "a WAL file that is cut off": _wal_truncated,
    "a missing first WAL file": _wal_missing(0),
    "a missing WAL file in the middle": _wal_missing(1),
    "a WAL file in the place of another": _wal_replaced,
    "a WAL file of another cluster": _wal_of_another_cluster,
    "a WAL file signed by a stranger": _wal_of_a_stranger,
    "the wrong identity": _wrong_identity,
    "the wrong public key": _wrong_trust,
    "a lost identity": _identity_lost,
    "a flipped byte in what says whose backups they are": _owner_flipped,
    "another cluster's word on whose backups they are": _owner_of_another,
    "a flipped byte in the checkpoints": _checkpoints_flipped,
}


def forge_proof(scene: Scene, key: Ed25519PrivateKey | None = None) -> None:
    """Write a proof that no restore has made, signed by a stranger, or by `key`, for the scene's backup."""
    value = {
        "backup": scene.backup,
        "target": "latest",
        "at": "2026-11-30T05:12:00+00:00",
        "seconds": 1.0,
        "tip": None,
        "checks": {"replayed": "all of it"},
        "failed": "",
    }
    folder = scene.folder / "proofs" / scene.backup
    folder.mkdir(parents=True, exist_ok=True)
    data = sign(msgspec.json.encode(value), key or Ed25519PrivateKey.generate())
    (folder / "20261130T051200.000000Z.json").write_bytes(data)
