"""Amounts: exact integers of 10⁻⁸ units, read from and written as decimal strings."""

from __future__ import annotations

import re
from functools import lru_cache

DECIMALS = 8
UNIT = 10**DECIMALS
DIGITS = 30  # before the point: amounts are below 10³⁰

# The length is bounded here, before Python reads a number: how long a one it takes is a setting of its environment.
_AMOUNT = re.compile(rf"0*([0-9]{{1,{DIGITS}}})(?:\.([0-9]{{1,{DECIMALS}}}))?", re.ASCII)


def parse_amount(value: object) -> int | None:
    """Return the amount in 10⁻⁸ units, None where the value is not a JSON string that is wholly an amount."""
    if not isinstance(value, str):
        return None
    match = _AMOUNT.fullmatch(value)
    if match is None:
        return None
    whole, fraction = match.groups(default="")
    units: int = int(whole) * UNIT + int(fraction.ljust(DECIMALS, "0"))
    return units


@lru_cache(maxsize=16_384)  # an amount is written several times: row, event, digest, balance
def format_amount(units: int | None) -> str:
    """Return an amount (not negative) with its 8 decimals, empty for none."""
    if units is None:
        return ""
    digits = str(units).rjust(DECIMALS + 1, "0")
    return f"{digits[:-DECIMALS]}.{digits[-DECIMALS:]}"
