"""What a backup says of itself: signed, written last, so that a backup without it was never finished."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from runbooks.backup.errors import RefusedError
from runbooks.backup.lsn import Lsn
from runbooks.backup.sealed import Sums, sign, signed_body

if TYPE_CHECKING:
    from collections.abc import Collection

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FORMAT: Literal[1] = 1
Kind = Literal["full", "incremental", "differential"]
KINDS: tuple[Kind, ...] = ("full", "incremental", "differential")

Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Id = Annotated[str, Meta(pattern=r"^[0-9]{8}T[0-9]{6}Z-(full|incremental|differential)-[0-9a-f]{4}\Z")]
ClusterId = Annotated[str, Meta(pattern=r"^[0-9]{1,20}\Z")]
Position = Annotated[str, Meta(pattern=r"^[0-9A-F]{1,8}/[0-9A-F]{1,8}\Z")]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One object of a backup: its name below the backup's folder, and the sums of what is stored and what it holds."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_.-]{1,64}\Z")]
    size: Count
    sha256: Hash
    content_size: Count
    content_sha256: Hash

    @classmethod
    def of(cls, name: str, sums: Sums) -> Part:
        """Return the part that was stored under a name with these sums."""
        return cls(name, sums.size, sums.sha256, sums.content_size, sums.content_sha256)

    @property
    def sums(self) -> Sums:
        """Sizes and hashes, of both sides."""
        return Sums(self.size, self.sha256, self.content_size, self.content_sha256)


class Owner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose index it is, as `index.chain` says."""

    cluster: str
    network: str
    start_height: int
    marketplace_height: int

    def __str__(self) -> str:
        return f"{self.cluster} ({self.network} from block {self.start_height})"


class Tip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an index stands: hashes as displayed."""

    height: int
    block_hash: Hash
    state_hash: Hash
    state_digest: Hash


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last entry of the audit trail."""

    seq: int
    hash: Hash


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One backup. `tip` was read when it had ended, `audit` before it began; both LSNs bound the WAL that it needs.

    `cluster` is PostgreSQL's system identifier, `data_size` what the files of the database take, in bytes.
    """

    format: Literal[1] = FORMAT
    id: Id
    kind: Kind
    parent: Id | None
    cluster: ClusterId
    owner: Owner | None
    schema: str
    release: str
    postgres: int
    timeline: Annotated[int, Meta(ge=1)]
    segment_size: Annotated[int, Meta(ge=1 << 20, le=1 << 30)]
    start_lsn: Position
    stop_lsn: Position
    started_at: str
    ended_at: str
    tip: Tip | None
    audit: Head | None
    data_size: Count
    base: Part
    files: Part
    configuration: Part

    @property
    def stored_size(self) -> int:
        """Bytes that its parts take in the repository."""
        return self.base.size + self.files.size + self.configuration.size

    @property
    def ended(self) -> datetime:
        """When it was complete."""
        return datetime.fromisoformat(self.ended_at)

    @property
    def first_segment(self) -> int:
        """The number of the first WAL segment that it needs."""
        return Lsn.parse(self.start_lsn).segment(self.segment_size)

    @property
    def last_segment(self) -> int:
        """The number of the last WAL segment that it needs to be consistent."""
        return Lsn(Lsn.parse(self.stop_lsn) - 1).segment(self.segment_size)


def new_id(now: datetime, kind: Kind) -> str:
    """Return an id that sorts by time."""
    return f"{now:%Y%m%dT%H%M%SZ}-{kind}-{secrets.token_hex(2)}"


def is_id(text: str) -> bool:
    """Tell whether a text has the form of a backup's id."""
    return re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-(full|incremental|differential)-[0-9a-f]{4}", text) is not None


def pack(manifest: Manifest, key: Ed25519PrivateKey) -> bytes:
    """Return the signed manifest."""
    return sign(msgspec.json.format(msgspec.json.encode(manifest)), key)


def unpack(data: bytes, trusted: Collection[bytes], *, backup: str, cluster: str) -> Manifest:
    """Return the manifest of the backup that lies under an id in a cluster's part of the repository.

    Raises RefusedError where it is damaged, not signed by a trusted key, or that of another backup or cluster.
    """
    name = f"the manifest of {backup}"
    try:
        found = msgspec.json.decode(signed_body(data, trusted, name=name), type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise RefusedError(f"{name} cannot be read by this release; use the release that made it") from None
    if found.cluster != cluster:
        raise RefusedError(f"{name} is of another database cluster ({found.cluster}); use a backup of {cluster}")
    if found.id != backup:
        raise RefusedError(f"{name} was replaced by that of {found.id}; use another backup")
    return found
