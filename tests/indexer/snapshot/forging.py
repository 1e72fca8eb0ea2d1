"""Snapshots that are not what they should be, by somebody who knows the format."""

from __future__ import annotations

import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from indexer.snapshot.container import opened
from indexer.snapshot.header import Header, Section, pack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.indexer.snapshot.conftest import KeyPair


def compressed(data: bytes, *, window_log: int = 0) -> bytes:
    """Return one zstd frame, for which a reader needs a window of a chosen size (0: what fits the data)."""
    return zstd.compress(data, options={zstd.CompressionParameter.window_log: window_log} if window_log else None)


def header_of(path: Path) -> Header:
    with opened(path) as snapshot:
        return snapshot.header


def contents_of(path: Path) -> dict[str, bytes]:
    """Return the COPY text of every section."""
    with opened(path) as snapshot:
        return {section.name: b"".join(snapshot.contents(section, "reading")) for section in snapshot.header.tables}


def sections_of(path: Path) -> dict[str, bytes]:
    """Return the compressed bytes of every section."""
    data, found, start = path.read_bytes(), {}, 8192
    for section in header_of(path).tables:
        found[section.name] = data[start : start + section.size]
        start += section.size
    return found


def rebuilt(
    original: Path,
    target: Path,
    key: KeyPair,
    texts: Mapping[str, bytes] | None = None,
    **changes: Any,  # noqa: ANN401
) -> Path:
    """Write a snapshot with other rows (COPY text by table) or another header, flawlessly signed by `key`."""
    stored = {name: compressed(text) for name, text in (texts or {}).items()}
    sections = sections_of(original) | stored
    header = header_of(original)
    tables = tuple(
        _section(table, texts[table.name], stored[table.name]) if texts and table.name in texts else table
        for table in header.tables
    )
    changed = {"tables": tables, "public_key": key.public.hex()} | changes
    header = msgspec.structs.replace(header, **changed)
    target.write_bytes(pack(header, key.private) + b"".join(sections[table.name] for table in header.tables))
    return target


def _section(table: Section, text: bytes, stored: bytes) -> Section:
    return Section(
        table.name, text.count(b"\n"), len(stored), sha256(stored).hexdigest(), len(text), sha256(text).hexdigest()
    )
