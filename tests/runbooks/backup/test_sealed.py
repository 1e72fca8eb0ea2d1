"""Sealed objects: what comes out is what went in, or nothing is believed."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.objects import ObjectStoreError
from indexer.snapshot.keys import raw
from runbooks.backup.errors import RefusedError
from runbooks.backup.sealed import PIECE, Sums, seal, sign, signed_body, unseal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

IDENTITY = pyrage.x25519.Identity.generate()
STRANGER = pyrage.x25519.Identity.generate()
KEY = Ed25519PrivateKey.generate()
TRUSTED = frozenset({raw(KEY.public_key())})
CONTENT = b"ordinals " * 40 + bytes(range(256))


class Dripping(io.RawIOBase):
    """Gives fewer bytes than asked for, as a pipe may."""

    def __init__(self, data: bytes, rng: Random) -> None:
        self._data = io.BytesIO(data)
        self._rng = rng

    def read(self, most: int = -1) -> bytes:
        return self._data.read(self._rng.randint(1, max(1, most)))


class Counting:
    """Takes bytes and keeps only how many."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)


def sealed(content: bytes) -> tuple[bytes, Sums]:
    target = io.BytesIO()
    sums = seal(io.BytesIO(content), target, IDENTITY.to_public())
    return target.getvalue(), sums


def unsealed(data: bytes, sums: Sums, identity: Any = IDENTITY) -> bytes:  # noqa: ANN401 - pyrage has no types
    target = io.BytesIO()
    unseal(io.BytesIO(data), target, sums, identity, name="base of it")
    return target.getvalue()


def encrypted(frames: bytes, content_size: int) -> tuple[bytes, Sums]:
    """Seal by hand what no compressor of ours would write."""
    data: bytes = pyrage.encrypt(frames, [IDENTITY.to_public()])
    return data, Sums(len(data), sha256(data).hexdigest(), content_size, "00" * 32)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=3_000), st.integers(1, 400), st.integers())
def test_what_comes_out_is_what_went_in_whatever_the_pieces(content: bytes, times: int, seed: int) -> None:
    content *= times
    target, back = io.BytesIO(), io.BytesIO()
    rng = Random(seed)
    sums = seal(Dripping(content, rng), target, IDENTITY.to_public())
    data = target.getvalue()
    assert (sums.size, sums.content_size) == (len(data), len(content))
    unseal(Dripping(data, rng), back, sums, IDENTITY, name="it")
    assert back.getvalue() == content


def test_what_is_sealed_shows_nothing_and_differs_each_time() -> None:
    one, sums = sealed(CONTENT)
    other, _ = sealed(CONTENT)
    assert one != other
    assert b"ordinals" not in one
    assert sums.content_size == len(CONTENT)


def test_a_check_alone_writes_nowhere_and_sees_as_much() -> None:
    data, sums = sealed(CONTENT)
    unseal(io.BytesIO(data), None, sums, IDENTITY, name="it")
    with pytest.raises(RefusedError, match="it is damaged"):
        unseal(io.BytesIO(data[:-1]), None, sums, IDENTITY, name="it")


def test_every_flipped_byte_is_found() -> None:
    data, sums = sealed(CONTENT)
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        with pytest.raises(RefusedError, match=r"^base of it is damaged: its bytes are not those that were written"):
            unsealed(bytes(flipped), sums)


@pytest.mark.parametrize("position", [0, 100, PIECE - 1, PIECE + 17, 2 * PIECE, -1])
def test_a_flipped_byte_in_a_large_object_is_found_in_every_chunk(position: int) -> None:
    data, sums = sealed(Random(5).randbytes(3 * PIECE))
    flipped = bytearray(data)
    flipped[position] ^= 0x80
    with pytest.raises(RefusedError, match="is damaged"):
        unsealed(bytes(flipped), sums)


def test_every_length_but_its_own_is_found() -> None:
    data, sums = sealed(CONTENT)
    for length in range(len(data)):
        with pytest.raises(RefusedError, match="is damaged"):
            unsealed(data[:length], sums)
    for more in (b"\0", data, b"x" * PIECE):
        with pytest.raises(RefusedError, match="is damaged"):
            unsealed(data + more, sums)


def test_the_wrong_identity_is_told_from_damage() -> None:
    data, sums = sealed(CONTENT)
    with pytest.raises(RefusedError, match=r"^base of it is encrypted for another key; give the identity"):
        unsealed(data, sums, STRANGER)
    with pytest.raises(RefusedError, match="is damaged"):
        unsealed(data[:-1], sums, STRANGER)


def test_another_object_for_the_same_key_is_damage_too() -> None:
    _, sums = sealed(CONTENT)
    data, _ = sealed(CONTENT)  # the same content, sealed anew by whoever has the public key
    with pytest.raises(RefusedError, match="is damaged"):
        unsealed(data, sums)


@pytest.mark.parametrize("field", ["size", "content_size"])
def test_sums_that_do_not_fit_are_damage(field: str) -> None:
    data, sums = sealed(CONTENT)
    for by in (-1, 1):
        with pytest.raises(RefusedError, match="is damaged"):
            unsealed(data, replace(sums, **{field: getattr(sums, field) + by}))
    with pytest.raises(RefusedError, match="is damaged"):
        unsealed(data, replace(sums, content_sha256="00" * 32))


def test_a_bomb_ends_soon_after_the_size_that_it_was_said_to_have() -> None:
    bomb = zstd.compress(bytes(1 << 28))
    assert len(bomb) < 1 << 17
    data, sums = encrypted(bomb, 1_000)
    target = Counting()
    with pytest.raises(RefusedError, match="is damaged"):
        unseal(io.BytesIO(data), target, sums, IDENTITY, name="it")
    assert target.size <= 4 * PIECE


def test_a_frame_that_asks_for_gigabytes_of_memory_is_refused() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    frame = compressor.compress(b"a" * 1_000) + compressor.flush()
    with pytest.raises(RefusedError, match="is damaged"):
        unsealed(*encrypted(frame, 1_000))


@pytest.mark.parametrize("frames", [b"", b"no zstd", zstd.compress(b"a") + b"more", zstd.compress(b"a") * 2])
def test_what_is_no_single_frame_is_refused(frames: bytes) -> None:
    with pytest.raises(RefusedError, match="is damaged"):
        unsealed(*encrypted(frames, 1))


class Broken(io.RawIOBase):
    """Breaks after some pieces, on either side."""

    def __init__(self, error: BaseException, data: bytes = b"", pieces: int = 0) -> None:
        self._error = error
        self._data = io.BytesIO(data)
        self._pieces = pieces

    def _count(self) -> None:
        self._pieces -= 1
        if self._pieces < 0:
            raise self._error

    def read(self, most: int = -1) -> bytes:
        self._count()
        return self._data.read(most)

    def write(self, _data: object) -> int:
        self._count()
        return 0


BREAKS = [KeyboardInterrupt(), ObjectStoreError("the place is away"), OSError(28, "No space left on device")]


@pytest.mark.parametrize("pieces", [0, 1, 2])
@pytest.mark.parametrize("error", BREAKS)
def test_what_breaks_on_either_side_is_no_damage_and_told_as_it_is(error: BaseException, pieces: int) -> None:
    content = Random(7).randbytes(4 * PIECE)
    data, sums = sealed(content)
    with pytest.raises(type(error)) as caught:
        seal(Broken(error, content, pieces), io.BytesIO(), IDENTITY.to_public())
    assert caught.value is error
    with pytest.raises(type(error)):
        seal(io.BytesIO(content), Broken(error, pieces=pieces), IDENTITY.to_public())
    with pytest.raises(type(error)):
        unseal(Broken(error, data, pieces), None, sums, IDENTITY, name="it")
    with pytest.raises(type(error)):
        unseal(io.BytesIO(data), Broken(error, pieces=pieces), sums, IDENTITY, name="it")


def test_a_signature_is_of_the_whole_body() -> None:
    data = sign(b"body", KEY)
    assert signed_body(data, TRUSTED, name="it") == b"body"
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1
        with pytest.raises(RefusedError, match=r"^it is (damaged or no part of a backup|not signed by a trusted key)"):
            signed_body(bytes(flipped), TRUSTED, name="it")
    for other in (data + b"x", data[:-1]):
        with pytest.raises(RefusedError, match="not signed by a trusted key"):
            signed_body(other, TRUSTED, name="it")


def test_any_one_of_the_trusted_keys_is_enough_and_none_is_too_few() -> None:
    other = raw(Ed25519PrivateKey.generate().public_key())
    assert signed_body(sign(b"", KEY), [other, *TRUSTED], name="it") == b""
    with pytest.raises(RefusedError, match="not signed"):
        signed_body(sign(b"", KEY), [], name="it")
