"""A manifest is believed only where it is whole, signed, of this backup and of this cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from indexer.snapshot.keys import raw
from runbooks.backup.errors import RefusedError
from runbooks.backup.manifest import KINDS, Owner, Part, Tip, is_id, new_id, pack, unpack
from runbooks.backup.sealed import Sums, sign, signed_body
from tests.support.backups import HASH, ID, a_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = Ed25519PrivateKey.generate()
TRUSTED = frozenset({raw(KEY.public_key())})
CLUSTER = a_manifest().cluster
WHOLE = a_manifest(
    tip=Tip(7, HASH, HASH, HASH), owner=Owner("local", "regtest", 102, 160), kind="incremental", parent=ID
)


def unpacked(data: bytes, *, backup: str = ID, cluster: str = CLUSTER) -> Any:  # noqa: ANN401 - a Manifest
    return unpack(data, TRUSTED, backup=backup, cluster=cluster)


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a manifest that was changed and signed by the right key: what another release may write."""
    value = json.loads(signed_body(pack(WHOLE, KEY), TRUSTED, name="it"))
    change(value)
    return sign(json.dumps(value).encode(), KEY)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert unpacked(pack(WHOLE, KEY)) == WHOLE
    assert unpacked(pack(a_manifest(), KEY)) == a_manifest()


def test_its_numbers_follow_from_its_positions() -> None:
    made = a_manifest(start_lsn="0/2FFFFFF", stop_lsn="0/5000000")
    assert made.stored_size == 900
    assert made.ended == datetime(2026, 11, 30, 5, 12, 9, tzinfo=UTC)
    assert made.first_segment == 2
    assert made.last_segment == 4, "the position is where the needed WAL ends: segment 5 has none of it"


@pytest.mark.parametrize("position", range(0, len(pack(WHOLE, KEY)), 7))
def test_a_flipped_byte_anywhere_is_refused(position: int) -> None:
    data = bytearray(pack(WHOLE, KEY))
    data[position] ^= 1 << position % 8
    with pytest.raises(RefusedError, match=rf"the manifest of {ID} is (damaged|not signed by a trusted key)"):
        unpacked(bytes(data))


@pytest.mark.parametrize("length", [0, 1, 19, 20, 83, 84, 200, -1])
def test_one_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(RefusedError, match=r"is damaged|is not signed"):
        unpacked(pack(WHOLE, KEY)[:length])


def test_that_of_another_key_is_refused() -> None:
    with pytest.raises(RefusedError, match="not signed by a trusted key: damaged, replaced or forged"):
        unpacked(pack(WHOLE, Ed25519PrivateKey.generate()))


def test_that_of_another_backup_is_refused_and_named() -> None:
    other = "20261130T061200Z-full-0000"
    with pytest.raises(RefusedError, match=rf"the manifest of {other} was replaced by that of {ID}"):
        unpacked(pack(WHOLE, KEY), backup=other)


def test_that_of_another_cluster_is_refused_and_named() -> None:
    with pytest.raises(RefusedError, match=rf"another database cluster \({CLUSTER}\); use a backup of 1"):
        unpacked(pack(WHOLE, KEY), cluster="1")


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(format=2),
        lambda value: value.update(more=1),
        lambda value: value["base"].update(name="../../etc/passwd"),
        lambda value: value["base"].update(name="a/b"),
        lambda value: value["base"].update(size=-1),
        lambda value: value["base"].update(sha256="AB" * 32),
        lambda value: value["files"].update(more=1),
        lambda value: value["tip"].update(block_hash="x"),
        lambda value: value["owner"].update(more=1),
        lambda value: value.update(id=ID + "\n"),
        lambda value: value.update(id="../" + ID),
        lambda value: value.update(parent="none"),
        lambda value: value.update(kind="copy"),
        lambda value: value.update(timeline=0),
        lambda value: value.update(segment_size=0),
        lambda value: value.update(start_lsn="1"),
        lambda value: value.update(cluster="-1"),
        lambda value: value.pop("tip"),
    ],
)
def test_signed_fields_that_this_release_does_not_know_or_allow_are_refused(
    change: Callable[[dict[str, Any]], object],
) -> None:
    with pytest.raises(RefusedError, match="cannot be read by this release; use the release that made it"):
        unpacked(changed(change))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_signed_body_that_is_no_manifest_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError, match="cannot be read by this release"):
        unpacked(sign(body, KEY))


def test_ids_are_told_from_others_and_sort_by_time() -> None:
    moments = [datetime(2026, 1, 9, tzinfo=UTC), datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)]
    for kind in KINDS:
        made = [new_id(moment, kind) for moment in moments]
        assert made == sorted(made)
        assert all(is_id(each) for each in made)
    assert new_id(moments[0], "full") != new_id(moments[0], "full")
    for text in ("", ID + "\n", "../x", ID.upper(), ID.replace("full", "copy")):
        assert not is_id(text)


def test_a_part_has_the_sums_that_it_was_made_of() -> None:
    sums = Sums(1, HASH, 2, HASH)
    assert Part.of("base.tar.zst.age", sums).sums == sums
