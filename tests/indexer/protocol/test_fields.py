from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from indexer.protocol.fields import read_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

PAYLOAD = b'{"p":"brc-20","op":"mint","tick":"a","amt":"%s","x":%s}'


@pytest.fixture
def few_digits() -> Iterator[None]:
    digits = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(digits)


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize(
    ("amount", "units"),
    [(b"9" * 700, None), (b"0" * 700 + b"7", 700_000_000), (b"9" * 30, 10**38 - 10**8), (b"1" + b"0" * 30, None)],
)
def test_a_verdict_does_not_depend_on_how_long_a_number_python_is_set_to_read(amount: bytes, units: int | None) -> None:
    fields = read_fields(PAYLOAD % (amount, b"7" * 700), {"mint"})
    assert fields is not None
    assert (fields.error, fields.amount) == (None, units)
