"""Strangers' text, made fit for a log line."""

from __future__ import annotations

import re

# What is used to sign in: JSON Web Tokens, the secret part of our keys, and whatever stands in a credential's place.
_SECRET = re.compile(
    r"""eyJ[\w-]{8,}(?:\.[\w-]*)*
    | (?P<before> \bsk_[0-9a-f]{1,12}_ | \b(?:bearer|basic)\s+ | x-api-key["']?\s*[:=]\s*
        | (?:key|token|secret|password)= | ://[^/\s:@]*: (?=[^/\s@]*@) )
      [^&\s@]+""",
    re.IGNORECASE | re.VERBOSE,
)
_SLACK = 4  # escapes are up to ten characters long: nothing beyond this multiple of the limit is even looked at


def clean(text: str, limit: int = 200) -> str:
    """Return at most `limit` characters of a text without secrets, each character that does not print escaped.

    A line feed would forge a line, ESC and text direction marks would deceive whoever reads it in a terminal.
    """
    text = _SECRET.sub(_without, text[: limit * _SLACK])
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else _escaped(sign) for sign in text[:limit])
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _without(found: re.Match[str]) -> str:
    return f"{found['before'] or ''}[secret]"


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
