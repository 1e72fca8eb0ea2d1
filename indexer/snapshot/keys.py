"""Ed25519 keys: who signed a snapshot, and whom a restore believes."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from indexer.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MOST_BYTES = 16_384  # a PEM file of either kind has about 120
_SHOWN = 16  # hexadecimal digits of a key's id that a person compares


def key_id(public_key: bytes) -> str:
    """Return the id of a raw public key (32 bytes): its SHA-256, shortened for display."""
    return sha256(public_key).hexdigest()[:_SHOWN]


def raw(key: Ed25519PublicKey) -> bytes:
    """Return the 32 bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def is_signed(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Tell whether the owner of a raw public key made this signature of the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def generate(path: Path) -> Ed25519PublicKey:
    """Write a new private key to `path` (PKCS#8 PEM, mode 0600) and its public key to `path`.pub.

    Raises ConfigurationError where either file exists or cannot be written; then neither is left.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write_new(path, private, 0o600)
    try:
        _write_new(path.with_name(f"{path.name}.pub"), public, 0o644)
    except BaseException:
        path.unlink()
        raise
    return key.public_key()


def load_private(path: Path) -> Ed25519PrivateKey:
    """Return the private key in a PEM file. Raises ConfigurationError for anything else and where all can read it."""
    pem, mode = _read("--key", path)
    if mode & stat.S_IRWXO:
        raise ConfigurationError(f"--key {path}: everybody can read this private key; run: chmod 600 {path}")
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            f"--key {path}: is no Ed25519 private key in PEM form without a passphrase; "
            "make one with: simplicity snapshot keygen"
        )
    return key


def load_trusted(paths: Iterable[Path]) -> frozenset[bytes]:
    """Return the raw public keys in PEM files. Raises ConfigurationError for a file that holds none."""
    return frozenset(raw(_load_public(path)) for path in paths)


def _load_public(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(_read("--trust", path)[0])
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(
            f"--trust {path}: is no Ed25519 public key in PEM form; give the .pub file that keygen wrote"
        )
    return key


def _read(option: str, path: Path) -> tuple[bytes, int]:
    if not path.is_file():
        raise ConfigurationError(f"{option} {path}: no such file")
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise ConfigurationError(f"{option} {path}: {error.strerror}") from None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise ConfigurationError(f"--output {path}: exists, and a key is never overwritten; choose another") from None
    except OSError as error:
        raise ConfigurationError(f"--output {path}: {error.strerror}; choose another place") from None
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a path cannot be opened with a mode of its own
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        with suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise ConfigurationError(f"--output {path}: {error.strerror}; choose another place") from None
        raise
