"""The keys of backups: whom they are encrypted for, and who vouches for them.

A host that makes backups needs `recipient` and `signing.key`. Only a restore needs `identity`: in production it is kept
where those hosts cannot read it.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyrage
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from indexer.settings import ConfigurationError
from indexer.snapshot import keys as signing
from runbooks.backup.errors import BackupError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

IDENTITY, RECIPIENT, SIGNING = "identity", "recipient", "signing.key"
_MOST_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Sealing:
    """What making a backup takes."""

    recipient: pyrage.x25519.Recipient
    signer: Ed25519PrivateKey = field(repr=False)

    @property
    def trusted(self) -> frozenset[bytes]:
        """The raw public key that vouches for what is made with this one."""
        return frozenset({signing.raw(self.signer.public_key())})


@dataclass(frozen=True, slots=True)
class Opening:
    """What reading a backup takes."""

    identity: pyrage.x25519.Identity = field(repr=False)
    trusted: frozenset[bytes]


def make(directory: Path) -> bool:
    """Make all keys in a directory of mode 0700; False where they are there already. Raises BackupError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (directory / SIGNING).exists():
            sealing = load_sealing(directory)
            if not (directory / f"{SIGNING}.pub").exists():  # a keygen was cut off between the two
                _write(directory / f"{SIGNING}.pub", _public(sealing), 0o644)
            return False
        if (directory / f"{SIGNING}.pub").exists():
            # Written after the private one: this is a host that restores, and no keygen that was cut off.
            raise BackupError(
                f"{directory} has keys of backups, but no {SIGNING}; make other keys in another directory"
            )
        identity = _identity(directory / IDENTITY)
        _write(directory / RECIPIENT, f"{identity.to_public()}\n", 0o644)
        # The signing key last: where it is, all are.
        signing.generate(directory / SIGNING)
    except ConfigurationError as error:
        raise BackupError(f"backup keys: {error}") from None
    except OSError as error:
        raise BackupError(f"backup keys cannot be made in {directory} ({error.strerror})") from None
    return True


def _public(sealing: Sealing) -> str:
    key = sealing.signer.public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def _identity(path: Path) -> pyrage.x25519.Identity:
    """Return the identity in a file, made up where there is none: one that is there may be the only way to backups."""
    if path.exists():
        return _parsed(path, _read(path))
    identity = pyrage.x25519.Identity.generate()
    _write(path, f"{identity}\n", 0o600)
    return identity


def load_sealing(directory: Path) -> Sealing:
    """Return what making a backup takes. Raises BackupError."""
    try:
        recipient = pyrage.x25519.Recipient.from_str(_read(directory / RECIPIENT))
    except pyrage.RecipientError:
        raise BackupError(f"{directory / RECIPIENT} is no age recipient; it looks like age1...") from None
    return Sealing(recipient, _signer(directory / SIGNING))


def load_opening(directory: Path, identity: Path | None = None) -> Opening:
    """Return what reading a backup takes; the identity may lie elsewhere. Raises BackupError."""
    path = identity or directory / IDENTITY
    text = _read(path)
    if path.stat().st_mode & stat.S_IRWXO:
        raise BackupError(f"{path}: everybody can read this private key; run: chmod 600 {path}")
    return Opening(_parsed(path, text), load_trusted(directory))


def load_trusted(directory: Path) -> frozenset[bytes]:
    """Return the raw public keys that vouch for backups. Raises BackupError."""
    try:
        return signing.load_trusted([directory / f"{SIGNING}.pub"])
    except ConfigurationError as error:
        raise BackupError(f"backup keys: {error}") from None


def _parsed(path: Path, text: str) -> pyrage.x25519.Identity:
    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise BackupError(f"{path} is no age identity; it looks like AGE-SECRET-KEY-1...") from None


def _signer(path: Path) -> Ed25519PrivateKey:
    try:
        return signing.load_private(path)
    except ConfigurationError as error:
        raise BackupError(f"backup keys: {error}") from None


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return file.read(_MOST_BYTES).strip()
    except FileNotFoundError:
        raise BackupError(
            f"{path} is missing; `simplicity backup keygen` makes new keys, a restore needs those of the backup"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError(f"{path} cannot be read ({error})") from None


def _write(path: Path, text: str, mode: int) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a path cannot be opened with a mode of its own
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
