"""One member of a passing tar stream is kept, whatever the pieces in which the stream is read."""

from __future__ import annotations

import io
import tarfile
from random import Random
from typing import IO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.backup.errors import BackupError
from runbooks.backup.tar import TarWatch

WANTED = "backup_manifest"


def tarred(members: list[tuple[str, bytes]]) -> bytes:
    """Return a stream as PostgreSQL writes it: ustar, with directories and links among the files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            folder = tarfile.TarInfo(f"{name}.d")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            link = tarfile.TarInfo(f"{name}.l")
            link.type, link.linkname = tarfile.SYMTYPE, "elsewhere"
            tar.addfile(link)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


class Short(io.BytesIO):
    """Gives fewer bytes than asked for."""

    def __init__(self, data: bytes, rng: Random) -> None:
        super().__init__(data)
        self._rng = rng

    def read(self, most: int | None = -1) -> bytes:
        return super().read(self._rng.randint(1, max(1, most or 1)))


def passed(data: bytes, rng: Random, largest: int = 2_000) -> tuple[TarWatch, bytes, list[int]]:
    told: list[int] = []
    watch = TarWatch(cast("IO[bytes]", Short(data, rng)), WANTED, told.append)
    out = b""
    while piece := watch.read(rng.randint(1, largest)):
        out += piece
    return watch, out, told


contents = st.one_of(
    st.binary(max_size=1_600),
    st.sampled_from([0, 1, 511, 512, 513, 1_024]).map(lambda size: b"x" * size),
)
others = st.lists(
    st.tuples(st.sampled_from(["base/1/2619", "PG_VERSION", "a" * 140 + "/b", "Z"]), contents), max_size=5
)


@settings(max_examples=150, deadline=None)
@given(others, contents, others, st.integers(), st.sampled_from([1, 7, 600, 5_000]))
def test_the_member_is_found_between_any_others_in_any_pieces(
    before: list[tuple[str, bytes]], wanted: bytes, after: list[tuple[str, bytes]], seed: int, largest: int
) -> None:
    data = tarred([*before, (WANTED, wanted), *after])
    watch, out, told = passed(data, Random(seed), largest)
    assert watch.found == wanted
    assert out == data, "the stream is handed on as it is"
    assert told[-1] == len(data)
    assert told == sorted(told)


@settings(max_examples=50, deadline=None)
@given(others, st.integers())
def test_without_the_member_nothing_is_found(members: list[tuple[str, bytes]], seed: int) -> None:
    watch, out, _ = passed(tarred([*members, (f"base/{WANTED}", b"another one")]), Random(seed))
    assert watch.found is None
    assert out


@pytest.mark.parametrize("cut", [0, 100, 511, 512, 700, 1_023])
def test_a_stream_that_ends_within_the_member_has_none(cut: int) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo(WANTED)
        member.size = 600
        tar.addfile(member, io.BytesIO(b"x" * 600))
    watch, _, _ = passed(target.getvalue()[:cut], Random(1))
    assert watch.found is None


def test_what_is_no_tar_is_an_error_in_one_line() -> None:
    with pytest.raises(BackupError, match=r"^the server's copy is no tar stream \(.*\)$"):
        passed(b"no tar at all" * 100, Random(1))
