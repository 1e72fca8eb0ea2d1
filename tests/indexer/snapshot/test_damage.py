"""Files that are damaged, cut off, forged or hostile: told without a database, and each in one line."""

from __future__ import annotations

import random
import struct
import tracemalloc
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
import pytest

from indexer.settings import ConfigurationError
from indexer.snapshot.container import opened
from indexer.snapshot.errors import SnapshotError
from indexer.snapshot.header import PREAMBLE, pack, unpack
from tests.indexer.snapshot.forging import compressed, contents_of, header_of, rebuilt, sections_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.indexer.snapshot.conftest import KeyPair


def problems(path: Path, *trusted: KeyPair) -> list[str]:
    """Return what `inspect --check` finds, as lines without the file's name."""
    try:
        with opened(path) as snapshot:
            found = snapshot.problems([key.public for key in trusted], check=True)
    except SnapshotError as error:
        found = [str(error).removeprefix(f"{path}: ")]
    assert not any("\n" in line for line in found)
    return found


def test_a_sound_file_has_no_problem(snapshot: Path, maker: KeyPair, forger: KeyPair) -> None:
    assert problems(snapshot, forger, maker) == []


def test_a_flipped_byte_in_the_first_8_kib_is_found_wherever_it_is(snapshot: Path) -> None:
    preamble = snapshot.read_bytes()[:PREAMBLE]
    assert unpack(preamble)[1]
    for position in range(PREAMBLE):
        flipped = bytearray(preamble)
        flipped[position] ^= 1 << position % 8
        try:
            _, is_signed = unpack(bytes(flipped))
        except SnapshotError:
            continue
        assert not is_signed, f"byte {position}"


@pytest.mark.parametrize("seed", range(8))
def test_a_flipped_byte_in_a_section_is_found_and_the_section_named(
    snapshot: Path, maker: KeyPair, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    data = bytearray(snapshot.read_bytes())
    bounds, start = {}, PREAMBLE
    for section in header_of(snapshot).tables:
        bounds[section.name] = range(start, start + section.size)
        start += section.size
    for position in rng.sample(range(PREAMBLE, len(data)), 40):
        bit = 1 << rng.randrange(8)
        data[position] ^= bit
        (tmp_path / "flipped").write_bytes(data)
        data[position] ^= bit
        name = next(name for name, places in bounds.items() if position in places)
        assert problems(tmp_path / "flipped", maker) == [
            f"section {name} is damaged: its checksum does not fit; take another copy"
        ]


def test_a_file_that_is_cut_off_or_longer_is_found_at_any_length(
    snapshot: Path, maker: KeyPair, tmp_path: Path
) -> None:
    data = snapshot.read_bytes()
    for length in (0, 1, 15, 16, 90, PREAMBLE - 1):
        (tmp_path / "cut").write_bytes(data[:length])
        assert problems(tmp_path / "cut", maker) == ["is no snapshot, or cut off in its first 8 KiB"]
    for length in (PREAMBLE, PREAMBLE + 1, len(data) // 2, len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:length])
        size, *rest = problems(tmp_path / "cut", maker)
        assert size == f"has {length} bytes, by its header {len(data)}: cut off or damaged; take another copy"
        assert rest, "the section that is cut off is named as well"
    (tmp_path / "longer").write_bytes(data + b"\0")
    assert len(problems(tmp_path / "longer", maker)) == 1


def test_sections_that_changed_places_are_found(snapshot: Path, maker: KeyPair, tmp_path: Path) -> None:
    blocks, operations, *rest = sections_of(snapshot).values()
    data = snapshot.read_bytes()[:PREAMBLE] + b"".join([operations, blocks, *rest])
    (tmp_path / "swapped").write_bytes(data)
    assert problems(tmp_path / "swapped", maker) == [
        "section blocks is damaged: its checksum does not fit; take another copy"
    ]
    tables = header_of(snapshot).tables
    rebuilt(snapshot, tmp_path / "swapped", maker, tables=(tables[1], tables[0], *tables[2:]))
    assert problems(tmp_path / "swapped", maker) == ["is damaged: its header contradicts itself"]


def test_a_header_signed_by_another_key_is_forged_if_it_names_the_maker_and_untrusted_if_it_does_not(
    snapshot: Path, maker: KeyPair, forger: KeyPair, tmp_path: Path
) -> None:
    data = snapshot.read_bytes()
    length = struct.unpack_from(">I", data, 20)[0]
    signature = forger.private.sign(data[:24] + data[88 : 88 + length])
    (tmp_path / "forged").write_bytes(data[:24] + signature + data[88:])
    assert problems(tmp_path / "forged", maker, forger) == [
        "the signature does not fit the header: damaged or forged; take another copy"
    ]
    rebuilt(snapshot, tmp_path / "forged", forger)
    assert problems(tmp_path / "forged", forger) == []
    (line,) = problems(tmp_path / "forged", maker)
    forgers = sha256(forger.public).hexdigest()[:16]
    assert (
        line
        == f"is signed by the key {forgers}, which is not trusted; make sure whose it is, then give --trust KEY.pub"
    )


def test_without_a_trusted_key_nothing_is_trusted(snapshot: Path) -> None:
    (line,) = problems(snapshot)
    assert "which is not trusted" in line


@pytest.mark.parametrize("length", [0, 1, PREAMBLE - 88 + 1, 1 << 31, (1 << 32) - 1])
def test_an_absurd_header_length_reads_nothing_beyond_the_first_8_kib(snapshot: Path, length: int) -> None:
    preamble = bytearray(snapshot.read_bytes()[:PREAMBLE])
    struct.pack_into(">I", preamble, 20, length)
    with pytest.raises(SnapshotError, match="is damaged: its header has a wrong length"):
        unpack(bytes(preamble))


def test_a_format_of_a_later_release_is_said(snapshot: Path) -> None:
    preamble = bytearray(snapshot.read_bytes()[:PREAMBLE])
    struct.pack_into(">I", preamble, 16, 2)
    with pytest.raises(SnapshotError, match="has the format 2, this release reads 1: use that one's release"):
        unpack(bytes(preamble))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"height": 23}, "contradicts itself"),
        ({"start_height": 25, "height": 24}, "contradicts itself"),
        ({"undo_from": 0}, "contradicts itself"),
        ({"undo_from": 27}, "contradicts itself"),
        ({"format": 2}, "contradicts itself"),
        ({"tables": ()}, "contradicts itself"),
        ({"height": -1}, "cannot be read"),
        ({"height": 1 << 31}, "cannot be read"),
        ({"state_hash": "AB" * 32}, "cannot be read"),
        ({"state_hash": "ab" * 32 + "\n"}, "cannot be read"),
        ({"version": "\x1b[2J"}, "cannot be read"),
        ({"network": "moon"}, "cannot be read"),
        ({"height": None}, "cannot be read"),
    ],
)
def test_a_header_that_cannot_be_right_is_refused_whoever_signed_it(
    snapshot: Path, maker: KeyPair, change: dict[str, object], said: str
) -> None:
    with pytest.raises(SnapshotError, match=said):
        unpack(pack(msgspec.structs.replace(header_of(snapshot), **change), maker.private))


@pytest.mark.parametrize("change", [(b"{", b"{ "), (b'{"format":1', b'{"format":1,"format":1'), (b"{", b'{"x":1,')])
def test_there_is_one_way_to_write_a_header(
    snapshot: Path, maker: KeyPair, monkeypatch: pytest.MonkeyPatch, change: tuple[bytes, bytes]
) -> None:
    header = header_of(snapshot)
    body = msgspec.json.encode(header).replace(*change, 1)
    with monkeypatch.context() as patch:
        patch.setattr(msgspec.json, "encode", lambda _: body)
        preamble = pack(header, maker.private)
    with pytest.raises(SnapshotError, match="is damaged: its header"):
        unpack(preamble)


@pytest.mark.parametrize(
    ("bomb", "most"),
    [
        (compressed(bytes(300_000_000)), 20),
        (compressed(random.Random(1).randbytes(3_000_000), window_log=31), 20),
        (compressed(b"x\n") * 2, 20),
        (b"", 20),
        (b"\x28\xb5\x2f\xfd", 20),
    ],
    ids=["much from little", "a window of 2 GiB", "two frames", "nothing", "only a beginning"],
)
def test_a_hostile_section_is_refused_in_bounded_memory_even_if_its_hash_fits(
    snapshot: Path, maker: KeyPair, tmp_path: Path, bomb: bytes, most: int
) -> None:
    header = header_of(snapshot)
    hostile = msgspec.structs.replace(header.tables[1], size=len(bomb), sha256=sha256(bomb).hexdigest())
    tables = (header.tables[0], hostile, *header.tables[2:])
    sections = sections_of(snapshot) | {"operations": bomb}
    preamble = pack(msgspec.structs.replace(header, tables=tables), maker.private)
    (tmp_path / "bomb").write_bytes(preamble + b"".join(sections.values()))
    tracemalloc.start()
    try:
        found = problems(tmp_path / "bomb", maker)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == ["section operations is damaged: its checksum does not fit; take another copy"]
    assert peak < most * 1_000_000


def test_rows_that_are_not_those_counted_are_found(snapshot: Path, maker: KeyPair, tmp_path: Path) -> None:
    tables = list(header_of(snapshot).tables)
    tables[1] = msgspec.structs.replace(tables[1], rows=tables[1].rows + 1)
    rebuilt(snapshot, tmp_path / "miscounted", maker, tables=tuple(tables))
    assert len(problems(tmp_path / "miscounted", maker)) == 1


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigurationError, match="no such file"), opened(path):
            pass


def test_the_contents_are_the_tables_as_copy_text(snapshot: Path) -> None:
    contents = contents_of(snapshot)
    assert contents["blocks"].startswith(b"1\t\\\\x")
    assert contents["operations"].count(b"\n") > 100
