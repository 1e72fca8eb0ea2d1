"""An object that is written to S3 as a stream, in parts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from _typeshed import ReadableBuffer

_PART = 16 * 2**20  # bytes; S3 wants 5 MiB at least
_GROWING = 1_000  # parts, after which they get larger: S3 takes 10 000, which are 880 GB so


class Parts(io.RawIOBase):
    """What is written here becomes an object at `complete`; a small one in a single request."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - botocore has no types
        key: Mapping[str, str],
        lock: Mapping[str, Any],
        errors: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._client, self._key, self._lock, self._errors = client, key, lock, errors
        self._waiting = bytearray()
        self._upload: str | None = None
        self._sent: list[dict[str, Any]] = []
        self._written = 0

    def writable(self) -> bool:
        """Say that this is a file to write to."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._written

    def write(self, data: ReadableBuffer, /) -> int:
        """Take bytes; they are sent once a part is full. Raises ObjectStoreError."""
        view = memoryview(data).cast("B")
        self._written += len(view)
        for at in range(0, len(view), _PART):  # so that no more than two parts are held
            self._waiting += view[at : at + _PART]
            while len(self._waiting) >= self._wanted:
                self._send(self._wanted)
        return len(view)

    def complete(self) -> None:
        """Make the object: from here on it is there, whole, unless it was there before (412 of the server)."""
        with self._errors():
            if self._upload is None:
                self._client.put_object(**self._key, Body=bytes(self._waiting), IfNoneMatch="*", **self._lock)
                return
        if self._waiting:
            self._send(len(self._waiting))
        with self._errors():
            self._client.complete_multipart_upload(
                **self._key, UploadId=self._upload, MultipartUpload={"Parts": self._sent}, IfNoneMatch="*"
            )
        self._upload = None

    def abort(self) -> None:
        """Leave nothing of it; nothing happens where nothing is."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            with self._errors():
                self._client.abort_multipart_upload(**self._key, UploadId=upload)

    @property
    def _wanted(self) -> int:
        return _PART * (1 + len(self._sent) // _GROWING)

    def _send(self, size: int) -> None:
        data = bytes(self._waiting[:size])
        with self._errors():
            if self._upload is None:
                self._upload = self._client.create_multipart_upload(**self._key, **self._lock)["UploadId"]
            number = len(self._sent) + 1
            answer = self._client.upload_part(**self._key, UploadId=self._upload, PartNumber=number, Body=data)
        # The checksums of the parts are asked for where they were given.
        checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        checksums.pop("ChecksumType", None)
        self._sent.append({"PartNumber": number, "ETag": answer["ETag"]} | checksums)
        del self._waiting[:size]
