"""Tickers in the one form in which they are stored, compared and hashed."""

from __future__ import annotations

from indexer.protocol.unicode14 import EXPANSIONS, RANGES

_UPPER: dict[int, int | str] = {
    code: code + distance for first, last, step, distance in RANGES for code in range(first, last + 1, step)
} | EXPANSIONS


def normalise(tick: str) -> str:
    """Return the ticker upper-cased by Unicode 14, except that a leading y or Y becomes `y` (yield tokens)."""
    if tick[:1] in {"y", "Y"}:
        return "y" + _upper(tick[1:])
    return _upper(tick)


def _upper(text: str) -> str:
    return text.upper() if text.isascii() else text.translate(_UPPER)


def stored_name(text: str) -> str:
    """Return the ticker that a person means, who may have copied it from a list or typed it in lower case.

    A stored ticker is its own normal form, with one exception: `ẙ` becomes `Y` and a ring above, which read again as
    what someone typed would be a yield token.
    """
    return text[0] + normalise(text[1:]) if text.startswith("Y\u030a") else normalise(text)


def is_yield(ticker: str) -> bool:
    """Tell whether a normalised ticker is reserved for yield tokens."""
    return ticker.startswith("y")
