"""Objects in an S3 bucket, or in what speaks like one."""

from __future__ import annotations

import io
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, Any, cast

import boto3  # type: ignore[import-untyped]  # boto3 ships no types
from botocore.config import Config  # type: ignore[import-untyped]  # as above
from botocore.exceptions import (  # type: ignore[import-untyped]  # as above
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own; no other is meant here
    HTTPClientError,
    NoCredentialsError,
)

from audit.objects import MissingObjectError, ObjectExistsError, ObjectStoreError, checked, checked_prefix, is_name
from audit.s3_parts import Parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from _typeshed import WriteableBuffer

_CONNECT, _READ, _ATTEMPTS = 5, 30, 3  # seconds, seconds, tries
_PAGE = 1_000  # names an answer: as many as S3 gives
_MISSING = frozenset({"NoSuchKey", "NotFound", "404", "NoSuchVersion"})
_TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})


class S3Store:
    """Objects under `prefix` in a bucket; credentials, region and endpoint come from where boto3 looks for them.

    `lock_days` and `write_once` are those of open_store. A deletion under a lock is one of all versions of an object:
    it fails while the lock holds, rather than hide what is there.
    """

    def __init__(self, bucket: str, prefix: str, *, lock_days: int | None = None, write_once: bool = False) -> None:
        self._bucket = bucket
        self._below = f"{prefix}/" if prefix else ""
        self._lock_days = lock_days
        self._write_once = write_once
        config = Config(
            connect_timeout=_CONNECT, read_timeout=_READ, retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"}
        )
        with self._errors(""):
            # A session of its own: boto3's shared one would keep the credentials that it found first.
            self._client = boto3.session.Session().client("s3", config=config)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"s3://{self._bucket}/{self._below}".rstrip("/")

    def put(self, name: str, data: bytes, *, replace: bool = False) -> None:
        """Write an object whole; raises ObjectExistsError where it is there, unless it may be replaced."""
        if replace and self._write_once:
            raise ObjectStoreError(f"{self._shown(name)}: is write-once, it cannot be replaced")
        condition = {} if replace else {"IfNoneMatch": "*"}
        if not replace:
            self._require_new(name)
        with self._errors(name):
            try:
                self._client.put_object(**self._key(name), Body=data, **condition, **self._lock())
            except ClientError as error:
                if not (_code(error) in _TAKEN and _was_retried(error) and self.get(name) == data):
                    raise
                # The first try had written it, only its answer was lost.
        self._require_locked(name)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Open a new object to write it as a stream: whole at the end of the `with`, or not at all if that fails."""
        self._require_new(name)
        parts = Parts(self._client, self._key(name), self._lock(), lambda: self._errors(name))
        try:
            yield cast("IO[bytes]", parts)
            parts.complete()
            self._require_locked(name)
        except BaseException:
            with suppress(ObjectStoreError):  # what is under way already is the error to tell
                parts.abort()
            raise

    def get(self, name: str) -> bytes:
        """Return an object; raises MissingObjectError."""
        with self.reading(name) as file:
            return file.read()

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """Open an object to read it as a stream; raises MissingObjectError."""
        with self._errors(name):
            answer = self._client.get_object(**self._found(name))
        with io.BufferedReader(_Body(answer["Body"], self, name), 2**20) as file:
            yield file

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all objects that begin with `prefix`, in order."""
        operation, listed = (
            ("list_object_versions", "Versions") if self._write_once else ("list_objects_v2", "Contents")
        )
        whole = self._below + checked_prefix(prefix)
        with self._errors(prefix):
            found = {each["Key"].removeprefix(self._below) for each in self._listed(operation, listed, whole)}
        return sorted(name for name in found if is_name(name))

    def size(self, name: str) -> int:
        """Return an object's bytes; raises MissingObjectError."""
        return int(self._head(name)["ContentLength"])

    def modified(self, name: str) -> float:
        """Return when an object was written, in seconds since the epoch; raises MissingObjectError."""
        written: datetime = self._head(name)["LastModified"]
        return written.timestamp()

    def delete(self, name: str) -> None:
        """Take an object away; one that is gone already is no error, one that is locked is."""
        key = self._key(name)
        with self._errors(name):
            if self._lock_days is None and not self._write_once:
                self._client.delete_object(**key)
                return
            for version in self._versions(name):
                self._client.delete_object(**key, VersionId=version)

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._below + checked(name)}

    def _found(self, name: str) -> dict[str, str]:
        """Return what names the object for a read: with `write_once` its first version, whatever lies over it."""
        key = self._key(name)
        if not self._write_once:
            return key
        versions = self._versions(name)
        if not versions:
            raise self._missing(name)
        return key | {"VersionId": versions[-1]}

    def _versions(self, name: str) -> list[str]:
        """Return the ids of an object's versions, the first one last: the order in which S3 lists them."""
        key = self._key(name)
        listed = self._listed("list_object_versions", "Versions", key["Key"])
        return [each["VersionId"] for each in listed if each["Key"] == key["Key"]]

    def _listed(self, operation: str, what: str, prefix: str) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator(operation).paginate(
            Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": _PAGE}
        )
        for page in pages:
            yield from page.get(what, ())

    def _require_new(self, name: str) -> None:
        # A condition on the write does not see what lies under a delete marker.
        with self._errors(name):
            if self._write_once and self._versions(name):
                raise ObjectExistsError(f"{self._shown(name)}: is there already")

    def _lock(self) -> dict[str, Any]:
        if self._lock_days is None:
            return {}
        until = datetime.now(UTC) + timedelta(days=self._lock_days)
        return {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}

    def _require_locked(self, name: str) -> None:
        """Lock what was written where the server passed over the lock that was asked for with it."""
        if self._lock_days is None or self._head(name).get("ObjectLockMode") == "COMPLIANCE":
            return
        lock = self._lock()
        retention = {"Mode": lock["ObjectLockMode"], "RetainUntilDate": lock["ObjectLockRetainUntilDate"]}
        with self._errors(name):
            self._client.put_object_retention(**self._key(name), Retention=retention)

    def _head(self, name: str) -> Mapping[str, Any]:
        with self._errors(name):
            return cast("Mapping[str, Any]", self._client.head_object(**self._found(name)))

    def _shown(self, name: str) -> str:
        return f"{self.url}/{name}".rstrip("/")

    def _missing(self, name: str) -> MissingObjectError:
        return MissingObjectError(f"{self._shown(name)}: no such object")

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = _code(error)
            if code in _MISSING:
                raise self._missing(name) from None
            if code in _TAKEN:
                raise ObjectExistsError(f"{self._shown(name)}: is there already") from None
            said = " ".join(str(error.response.get("Error", {}).get("Message", "")).split())
            raise ObjectStoreError(f"{self._shown(name)}: {code} ({said})") from None
        except NoCredentialsError:
            raise ObjectStoreError(
                f"{self._shown(name)}: no credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ) from None
        except (HTTPClientError, ConnectionError) as error:  # its words hold the endpoint's URL
            raise ObjectStoreError(
                f"{self._shown(name)}: does not answer ({type(error).__name__}); look at AWS_ENDPOINT_URL_S3"
            ) from None
        except (BotoCoreError, ValueError) as error:
            raise ObjectStoreError(f"{self._shown(name)}: cannot be asked ({type(error).__name__})") from None


class _Body(io.RawIOBase):
    """An object as it comes over the network, its errors in one line."""

    def __init__(self, body: Any, store: S3Store, name: str) -> None:  # noqa: ANN401 - botocore has no types
        self._body, self._store, self._name = body, store, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        with self._store._errors(self._name):  # noqa: SLF001 - a part of the store
            data = self._body.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _was_retried(error: ClientError) -> bool:
    return int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) > 0
