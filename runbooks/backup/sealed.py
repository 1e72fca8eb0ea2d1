"""How a backup lies in its repository: compressed, encrypted for one recipient, hashed on both sides, signed.

age (X25519, ChaCha20-Poly1305) keeps the content secret and whole, but anybody can encrypt for a public key: who made
a backup is told by an Ed25519 signature, over the manifest that names every part's hashes, and over each WAL segment.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import pyrage

from indexer.snapshot.keys import is_signed
from runbooks.backup.errors import RefusedError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PIECE = 1 << 18  # bytes in hand at a time
_LEVEL = 3
_MOST_WINDOW = 21  # log2: what this level needs; a hostile frame could ask for gigabytes
_MAGIC = b"simplicity signed 1\n"
_SIGNATURE = 64


class Readable(Protocol):
    """Gives bytes, none at its end."""

    def read(self, most: int, /) -> bytes:
        """Return the next bytes."""


class Sink(Protocol):
    """Takes bytes as they come."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sizes in bytes and SHA-256 of what is stored, and of the content that it unpacks to."""

    size: int
    sha256: str
    content_size: int
    content_sha256: str


class _Sum:
    """Counts and hashes what passes."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.size = 0
        self.broken: BaseException | None = None

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def take(self, data: bytes) -> bytes:
        self._hash.update(data)
        self.size += len(data)
        return data

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what breaks on the other side."""
        try:
            yield
        except BaseException as error:
            self.broken = self.broken or error
            raise


class _Reading(_Sum):
    """Sums what is read."""

    def __init__(self, source: Readable) -> None:
        super().__init__()
        self._source = source

    def read(self, most: int = PIECE) -> bytes:
        with self.noting():
            return self.take(self._source.read(most))


class _Writing(_Sum):
    """Sums what is written, to nowhere for None."""

    def __init__(self, target: Sink | None) -> None:
        super().__init__()
        self._target = target

    def write(self, data: bytes) -> int:
        self.take(data)
        if self._target is not None:
            with self.noting():
                self._target.write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here; age flushes what it writes to."""


class _Compressing:
    """Reads compressed what another file holds."""

    def __init__(self, source: _Reading) -> None:
        self._source = source
        self._compressor = zstd.ZstdCompressor(_LEVEL)
        self._ready = b""
        self._at = 0
        self._ended = False

    def read(self, most: int = PIECE) -> bytes:
        while self._at == len(self._ready) and not self._ended:
            piece = self._source.read(PIECE)
            self._ended = not piece
            self._ready = self._compressor.compress(piece) if piece else self._compressor.flush()
            self._at = 0
        given = self._ready[self._at : self._at + most]
        self._at += len(given)
        return given


class _Decompressing:
    """Writes to another file what compressed bytes unpack to; no more than `most` bytes."""

    def __init__(self, target: _Writing, most: int) -> None:
        self._target = target
        self._most = most
        self._decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _MOST_WINDOW})

    def write(self, data: bytes) -> int:
        piece = bytes(data)
        while not self._decompressor.eof:
            self._target.write(self._decompressor.decompress(piece, PIECE))
            if self._target.size > self._most:
                raise zstd.ZstdError("unpacks to more than it says")
            piece = b""
            if self._decompressor.needs_input:
                break
        if self._decompressor.unused_data:
            raise zstd.ZstdError("has bytes after its end")
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    @property
    def is_whole(self) -> bool:
        return self._decompressor.eof


@contextmanager
def _as_it_was(*sides: _Sum) -> Iterator[None]:
    """Raise what broke on either side: age makes an error of its own of it, as if its bytes were damaged."""
    try:
        yield
    except BaseException:
        for side in sides:
            if side.broken is not None:
                raise side.broken from None
        raise


def seal(source: Readable, target: Sink, recipient: pyrage.x25519.Recipient) -> Sums:
    """Write `source` to `target`, compressed and encrypted, in bounded memory."""
    content, stored = _Reading(source), _Writing(target)
    with _as_it_was(content, stored):
        pyrage.encrypt_io(_Compressing(content), stored, [recipient])
    return Sums(stored.size, stored.sha256, content.size, content.sha256)


def unseal(source: Readable, target: Sink | None, sums: Sums, identity: pyrage.x25519.Identity, *, name: str) -> None:
    """Write what a sealed object holds to `target` (None: only check it), in bounded memory.

    Raises RefusedError, with `name` in it, where the object is not what `sums` says or is encrypted for another key;
    nothing that was made of the pieces may be kept then.
    """
    stored, content = _Reading(source), _Writing(target)
    unpacking = _Decompressing(content, sums.content_size)
    try:
        with _as_it_was(stored, content):
            pyrage.decrypt_io(stored, unpacking, [identity])
    except pyrage.DecryptError as error:
        # A damaged header cannot be told from one for somebody else: the hash of what is stored can.
        while stored.read(PIECE):
            pass
        if (stored.size, stored.sha256) == (sums.size, sums.sha256):
            raise RefusedError(f"{name} is encrypted for another key; give the identity it was made for") from error
        raise damaged(name) from error
    except zstd.ZstdError as error:
        raise damaged(name) from error
    except OSError as error:
        # age reports what is wrong with its own bytes without an errno; a full disk has one.
        if error.errno is not None:
            raise
        raise damaged(name) from error
    found = Sums(stored.size, stored.sha256, content.size, content.sha256)
    if found != sums or not unpacking.is_whole:
        raise damaged(name)


def require_stored(source: Readable, sums: Sums, *, name: str) -> None:
    """Read a sealed object to its end, decrypting nothing. Raises RefusedError where it is not what `sums` says."""
    stored = _Reading(source)
    while stored.read(PIECE):
        pass
    if (stored.size, stored.sha256) != (sums.size, sums.sha256):
        raise damaged(name)


def damaged(name: str) -> RefusedError:
    """Return the refusal of an object whose bytes are not those that were written."""
    return RefusedError(f"{name} is damaged: its bytes are not those that were written; use another backup")


def sign(body: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return a body with its signature in front."""
    return _MAGIC + key.sign(_MAGIC + body) + body


def signed_body(data: bytes, trusted: Collection[bytes], *, name: str) -> bytes:
    """Return the body that one of the raw public keys signed. Raises RefusedError with `name` where none did."""
    start = len(_MAGIC) + _SIGNATURE
    signature, body = data[len(_MAGIC) : start], data[start:]
    if not data.startswith(_MAGIC) or len(signature) != _SIGNATURE:
        raise RefusedError(f"{name} is damaged or no part of a backup; use another backup")
    if not any(is_signed(_MAGIC + body, signature, key) for key in trusted):
        raise RefusedError(f"{name} is not signed by a trusted key: damaged, replaced or forged; use another backup")
    return body
