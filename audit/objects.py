"""Write-once objects in a second place, a directory or an S3 bucket: anchors of the trail and backups lie there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

# No part begins with a dot: "." and ".." lead elsewhere, and what a directory store has not finished hides behind one.
_PART = r"(?!\.)[A-Za-z0-9._-]+"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_PREFIX = re.compile(rf"(?:{_PART}/)*(?:{_PART})?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LONGEST_NAME = 900  # bytes: S3 takes 1024 with the prefix
_FORMS = "must look like file:///var/backups/simplicity or s3://bucket/prefix"


class ObjectStoreError(Exception):
    """An object store does not do what was asked: one line that says why, without credentials."""


class MissingObjectError(ObjectStoreError):
    """No such object."""


class ObjectExistsError(ObjectStoreError):
    """The object is there already, and is not written twice."""


class ObjectStore(Protocol):
    """Objects by name: parts of [A-Za-z0-9._-], none of which begins with a dot, with slashes between them.

    Every method raises ObjectStoreError in one line for a name that is none and for what the place refuses.
    """

    @property
    def url(self) -> str:
        """Where it is, without credentials."""

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        """Write an object whole and durably; raises ObjectExistsError where it is there, unless it may be replaced."""

    def writing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a new object to write it as a stream: whole at the end of the `with`, or not at all if that fails.

        Raises ObjectExistsError at the beginning or, where another writer was quicker, at the end.
        """

    def get(self, name: str) -> bytes:
        """Return an object; raises MissingObjectError."""

    def reading(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open an object to read it as a stream; raises MissingObjectError."""

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all whole objects that begin with `prefix`, in order."""

    def size(self, name: str) -> int:
        """Return an object's bytes; raises MissingObjectError."""

    def modified(self, name: str) -> float:
        """Return when an object was written, in seconds since the epoch; raises MissingObjectError."""

    def delete(self, name: str) -> None:
        """Take an object away; one that is gone already is no error, one that is locked is."""


def open_store(url: str, *, lock_days: int | None = None, write_once: bool = False) -> ObjectStore:
    """Return the store at file:///absolute/directory or s3://bucket/prefix; nothing is asked of it yet.

    `lock_days` locks every object on S3 (Object Lock, COMPLIANCE: not even the account's owner can delete it for so
    many days), which the bucket has to allow; a directory is no lock, there files are only made read-only. With
    `write_once` a bucket that keeps versions is read as it was first written: what somebody put over an object later,
    a delete marker too, does not count, and nothing is ever replaced.
    """
    if lock_days is not None and lock_days < 1:
        raise ObjectStoreError(f"lock of {lock_days} days: must be at least one day, or none at all")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ObjectStoreError(f"object store {_FORMS}") from None
    if "@" in parts.netloc:  # the URL holds credentials: it is not repeated
        raise ObjectStoreError("object store: its URL must hold no credentials; set AWS_ACCESS_KEY_ID or AWS_PROFILE")
    if parts.query or parts.fragment:
        raise ObjectStoreError(f"object store {parts.scheme}://{parts.netloc}{parts.path}: {_FORMS}")
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and re.match("/+[^/]", parts.path):
        from audit.directory import DirectoryStore  # noqa: PLC0415 - it is built on this module

        return DirectoryStore(Path(unquote(parts.path)), is_locked=lock_days is not None, write_once=write_once)
    prefix = parts.path.strip("/")
    if parts.scheme == "s3" and _BUCKET.fullmatch(parts.netloc) and (not prefix or _NAME.fullmatch(prefix)):
        try:
            from audit.s3 import S3Store  # noqa: PLC0415 - as above, and boto3 is of the extra `ops`
        except ModuleNotFoundError as error:
            raise ObjectStoreError(
                f"object store {url}: needs the package {error.name!r}; run: pip install 'simplicity[ops]'"
            ) from None
        return S3Store(parts.netloc, prefix, lock_days=lock_days, write_once=write_once)
    raise ObjectStoreError(f"object store {url!r}: {_FORMS}")


def checked(name: str) -> str:
    """Return an object's name; raises ObjectStoreError for one that could lead elsewhere."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise ObjectStoreError(
            f"object name {name[:100]!r}: must be parts of A-Z a-z 0-9 . _ - with slashes between, none begins with ."
        )
    return name


def is_name(name: str) -> bool:
    """Say whether an object can have this name."""
    return _NAME.fullmatch(name) is not None


def checked_prefix(prefix: str) -> str:
    """Return the beginning of a name; raises ObjectStoreError for one that could lead elsewhere."""
    if not _PREFIX.fullmatch(prefix):
        raise ObjectStoreError(f"object name {prefix[:100]!r}...: no object's name begins so")
    return prefix
