"""Carry a release from where it is built to a control node: one archive, with what says which checks it passed.

`build` makes `simplicity-ID.tar` of this commit by what `simplicity deploy build` uses; `take` puts it into the store
of a control node, after its signature and every file were compared.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from indexer.snapshot import keys as signing
from infra.environment import EnvironmentFileError, load
from infra.local.layout import EnvelopeError, private_directory
from runbooks.deploy.building import Order, build
from runbooks.deploy.errors import DeployError
from runbooks.deploy.keys import paths, signer, trust
from runbooks.deploy.manifest import ID, Manifest, verify
from runbooks.deploy.store import STATEMENTS, Store, checks_of, now, store
from runbooks.deploy.wheels import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Trust = Callable[[bytes, bytes], bool]

ROOT = Path(__file__).resolve().parent.parent
KEY, TAG, OUTPUT = "RELEASE_SIGNING_KEY", "RELEASE_TAG", "GITHUB_OUTPUT"
MACHINES = ("x86_64", "aarch64")


@dataclass(frozen=True, slots=True)
class Key:
    """Who signs, and what knows the signature."""

    sign: Callable[[bytes], bytes]
    trusted: Trust


def main(arguments: Sequence[str] | None = None) -> int:
    """Build or take; exit code 1 and one line where that cannot be."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.command == "build":
            variables = dict(os.environ)
            os.environ.pop(KEY, None)  # what is run to build needs no key
            check_tag(variables.get(TAG), ROOT)
            made, archive = build_archive(_order(asked.out, key_of(asked.key, variables)), asked.passed)
            _tell(made, archive, variables.get(OUTPUT))
        else:
            took = take(asked.archives.absolute(), asked.id, trusted_by(asked.environment), store())
            sys.stdout.write(f"{took.id}: signed, whole, and in {store().home}\n")
    except (DeployError, EnvironmentFileError, EnvelopeError) as error:
        sys.stderr.write(f"releases: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    built = commands.add_parser("build", help="build, sign and pack a release of this commit")
    built.add_argument("--out", type=Path, default=Path("dist"), help="where the archive goes")
    built.add_argument("--key", type=Path, help=f"the private key's file; without it {KEY} holds the key")
    built.add_argument("--passed", action="append", default=[], metavar="NAME", help="a check that this commit passed")
    taken = commands.add_parser("take", help="put a release into this control node's store")
    taken.add_argument("id")
    taken.add_argument("--archives", type=Path, default=Path("dist"), help="where the archive lies")
    taken.add_argument("--environment", type=Path, required=True, help="the document that says whose key is believed")
    return parser


def key_of(path: Path | None, variables: Mapping[str, str]) -> Key:
    """Return the key in a file, else the one in the variable. Raises DeployError."""
    if path is not None:
        return _key(path)
    if not variables.get(KEY):
        raise DeployError(f"no key to sign with: give --key FILE, or set {KEY}; `simplicity deploy keys` makes one")
    with tempfile.TemporaryDirectory(prefix="simplicity-key-") as folder:
        file = Path(folder) / "key"
        file.touch(mode=0o600)
        file.write_text(f"{variables[KEY].strip()}\n", encoding="ascii", errors="replace")
        try:
            return _key(file)
        except DeployError:
            raise DeployError(
                f"{KEY} is no Ed25519 private key in PEM form; `simplicity deploy keys` makes one"
            ) from None


def _key(path: Path) -> Key:
    sign = signer(path)
    public = signing.raw(signing.load_private(path).public_key())
    return Key(sign, lambda text, signature: signing.is_signed(text, signature, public))


def trusted_by(document: Path) -> Trust:
    """Return what knows the signatures that an environment believes. Raises DeployError, EnvironmentFileError."""
    return trust(paths(load(document))[1])


def check_tag(tag: str | None, repository: Path) -> None:
    """Hold a tag to the version: what is called v1.2.0 says so everywhere. Raises DeployError."""
    version = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if tag and tag != f"v{version}":
        raise DeployError(f"the tag {tag} is not v{version}, the version in pyproject.toml; tag the right commit")


def _order(out: Path, key: Key) -> Order:
    made_in = Store(out.absolute() / "releases")
    return Order(
        repository=ROOT,
        ref="HEAD",
        target=Target(machines=MACHINES),
        out=made_in.home,
        cache=made_in.cache,
        sign=key.sign,
        trusted=key.trusted,
        say=_say,
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def build_archive(order: Order, passed: Sequence[str]) -> tuple[Manifest, Path]:
    """Build a release, sign which checks its commit passed, and pack both beside the directory. Raises DeployError."""
    made = build(order).manifest
    if passed:
        words = {"commit": made.commit, "at": now(), "results": dict.fromkeys(passed, "passed")}
        Store(order.out).state(checks_of(made.commit), words, order.sign)
    archive = order.out.parent / f"simplicity-{made.id}.tar"
    _pack(archive, order.out, made)
    return made, archive


def _tell(made: Manifest, archive: Path, output: str | None) -> None:
    """Say what was made; a pipeline's next jobs read it from a file that is named to each step."""
    sys.stdout.write(f"{archive}\n")
    if output:
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(f"id={made.id}\n")


def _pack(archive: Path, home: Path, made: Manifest) -> None:
    fresh = archive.with_name(f"{archive.name}.new")
    with tarfile.open(fresh, "w") as tar:
        for path in (*sorted((home / made.id).rglob("*")), *_statements(home, made)):
            if path.is_file():
                member = tarfile.TarInfo(path.relative_to(home).as_posix())
                member.size = path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(member, file)
    fresh.replace(archive)


def _statements(home: Path, made: Manifest) -> Iterator[Path]:
    """Yield the signature first: a statement without its own is as if it were not there."""
    path = home / STATEMENTS / f"{checks_of(made.commit)}.json"
    yield from (path.with_suffix(".json.sig"), path)


def take(archives: Path, name: str, trusted: Trust, into: Store) -> Manifest:
    """Put a release and what was signed about it into a store; one that is there is only verified. Raises DeployError.

    Without an archive it has to be in the store already: it was built or taken here before.
    """
    if not ID.fullmatch(name):
        raise DeployError(f"{name[:80]!r} is no release; they are called VERSION-COMMIT")
    archive = archives / f"simplicity-{name}.tar"
    if not archive.exists():
        return verify(into.release(name), trusted)
    private_directory(into.home)
    with tempfile.TemporaryDirectory(prefix=".taking-", dir=into.home) as folder:
        fresh = Path(folder)
        _unpack(archive, fresh, name)
        found = verify(fresh / name, trusted)
        if (into.home / name).exists():
            verify(into.home / name, trusted)
        else:
            (fresh / name).rename(into.home / name)
        _take_statement(fresh, found, trusted, into)
    return found


def _unpack(archive: Path, folder: Path, name: str) -> None:
    """Write the archive's files, and nothing that is not one or lies elsewhere. Raises DeployError."""
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if not member.isfile() or ".." in path.parts or path.parts[0] not in {name, STATEMENTS}:
                    raise DeployError(f"{archive}: holds {member.name[:80]!r}, which is no part of a release")
                there = folder / path
                there.parent.mkdir(parents=True, exist_ok=True)
                with there.open("wb") as file:
                    shutil.copyfileobj(tar.extractfile(member) or io.BytesIO(), file)
    except (tarfile.TarError, OSError) as error:
        raise DeployError(f"{archive}: cannot be unpacked ({error}); fetch it again") from None


def _take_statement(fresh: Path, found: Manifest, trusted: Trust, into: Store) -> None:
    name = checks_of(found.commit)
    if Store(fresh).statement(name, trusted) is None:
        return  # unsigned or none: the gate `checks` will say so
    (into.home / STATEMENTS).mkdir(mode=0o700, exist_ok=True)
    for path in _statements(fresh, found):
        path.replace(into.home / STATEMENTS / path.name)


if __name__ == "__main__":
    raise SystemExit(main())
