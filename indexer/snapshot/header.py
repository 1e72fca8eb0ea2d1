"""The first 8 KiB of a snapshot: what it holds, and a signature over that.

Layout: magic (16 bytes), format (u32), length of the header (u32, both big-endian), Ed25519 signature over these 24
bytes and the header (64 bytes), the header as canonical JSON, zeros. The sections follow, one after the other, to the
end of the file. The size is fixed so that the header can stand in front although it is known last.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from indexer.bitcoin.script import Network  # noqa: TC001 - msgspec reads the annotations when it runs
from indexer.settings import HIGHEST_BLOCK
from indexer.snapshot.errors import SnapshotError
from indexer.snapshot.keys import is_signed, raw
from indexer.snapshot.tables import TABLES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FORMAT = 1
PREAMBLE = 8192

_MAGIC = b"BRC-20 snapshot\n"
_FRONT = struct.Struct(">16sII")
_SIGNATURE = 64
_START = _FRONT.size + _SIGNATURE

Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Height = Annotated[int, Meta(ge=0, le=HIGHEST_BLOCK)]
Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table: how many rows, the compressed bytes as stored, and the COPY text that they unpack to."""

    name: Annotated[str, Meta(pattern=r"^[a-z_]{1,32}\Z")]
    rows: Count
    size: Count
    sha256: Hash
    content_size: Count
    content_sha256: Hash


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a snapshot is of. Hashes as displayed; `undo_from` is the lowest height that can be taken back."""

    format: int
    schema: Annotated[str, Meta(pattern=r"^[0-9A-Za-z_]{1,32}\Z")]
    network: Network
    start_height: Height
    marketplace_height: Height
    height: Height
    block_hash: Hash
    state_hash: Hash
    state_digest: Hash
    undo_from: Annotated[int, Meta(ge=0, le=HIGHEST_BLOCK + 1)]
    created_at: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")]
    version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.+!-]{1,64}\Z")]
    public_key: Hash
    tables: tuple[Section, ...]

    @property
    def signer(self) -> bytes:
        """The 32 bytes of the public key that the header claims to be signed with."""
        return bytes.fromhex(self.public_key)

    @property
    def file_size(self) -> int:
        """How many bytes the whole file has."""
        return PREAMBLE + sum(section.size for section in self.tables)


def pack(header: Header, key: Ed25519PrivateKey) -> bytes:
    """Return the signed preamble. Raises ValueError where the key is not the one that the header names."""
    if raw(key.public_key()) != header.signer:
        raise ValueError("the header names another key")
    body = msgspec.json.encode(header)
    front = _FRONT.pack(_MAGIC, FORMAT, len(body))
    preamble = front + key.sign(front + body) + body
    if len(preamble) > PREAMBLE:
        raise ValueError("the header does not fit")
    return preamble.ljust(PREAMBLE, b"\0")


def unpack(preamble: bytes) -> tuple[Header, bool]:
    """Return the header and whether the key that it names signed it. Raises SnapshotError where it is malformed."""
    if len(preamble) < PREAMBLE or not preamble.startswith(_MAGIC):
        raise SnapshotError("is no snapshot, or cut off in its first 8 KiB")
    _, number, length = _FRONT.unpack_from(preamble)
    if number != FORMAT:
        raise SnapshotError(f"has the format {number}, this release reads {FORMAT}: use that one's release")
    end = _START + length
    if end > PREAMBLE or any(preamble[end:]):
        raise SnapshotError("is damaged: its header has a wrong length")
    body = preamble[_START:end]
    header = _decode(body)
    signature = preamble[_FRONT.size : _START]
    return header, is_signed(preamble[: _FRONT.size] + body, signature, header.signer)


def _decode(body: bytes) -> Header:
    try:
        header = msgspec.json.decode(body, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise SnapshotError("is damaged: its header cannot be read") from None
    if msgspec.json.encode(header) != body:
        raise SnapshotError("is damaged: its header is not in canonical form")
    if not _is_sound(header):
        raise SnapshotError("is damaged: its header contradicts itself")
    return header


def _is_sound(header: Header) -> bool:
    names = [section.name for section in header.tables]
    return (
        header.format == FORMAT
        and names == [table.name for table in TABLES]
        and header.tables[0].rows == header.height - header.start_height + 1 > 0
        and header.start_height <= header.undo_from <= header.height + 1
    )
