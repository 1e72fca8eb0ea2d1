"""What plainly is an attack: noted as a security event, whatever the answer is.

Nothing is refused for it: parameters are bound, answers are JSON, and a ticker may be any text. The answer to an attack
is the one that anybody gets.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

# In a target that was decoded and put in lower case. Only bounded repetitions: a long target must not cost much.
_SIGNS = re.compile(
    r"""
      (?P<nul>\x00)
    | (?P<control_characters>[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]|\r\n)
    | (?P<path_traversal>(?<![^/\\?=&])\.\.(?![^/\\?&;])|/etc/(?:passwd|shadow)|/\.(?:git|env|ssh|aws)\b)
    | (?P<markup><[\s/]{0,4}(?:script|img|svg|iframe|object|embed|body|style|meta|link)\b|javascript:)
    | (?P<sql>\bunion\s{1,8}(?:all\s{1,8})?select\b|['"]\s{0,8}(?:or|and)\s{1,8}\S{1,40}\s{0,8}[=<>]
        |\b(?:drop|alter|create)\s{1,8}(?:table|database|schema|role|user)\b|\b(?:delete\s{1,8}from|insert\s{1,8}into)\b
        |\bselect\b.{1,80}\bfrom\b|\b(?:pg_sleep|xp_cmdshell|load_file)\b)
    | (?P<injection>\$\{|\$\(|\{\{)
    """,
    re.VERBOSE,
)
_DIGITS = re.compile(r"(?<![0-9A-Za-z])[0-9]{19,}(?![0-9A-Za-z])")
_BROKEN, _NUMBER = "broken UTF-8", "huge number"
_NO_TICKER = frozenset({"path traversal", "markup", "sql", _BROKEN})  # what is told of even where something was found
_LOOKED_AT = 2_048  # characters of a target: a scan of all that a target may hold takes a millisecond
_WRONG = frozenset({404, 405, 422})
_UNPROCESSABLE = 422
_WRONG_FROM = 400


def sign_of(raw_path: bytes, query: bytes, status: int) -> str | None:
    """Return what marks a request as an attack, None for nothing.

    `status` is what it was answered: odd signs may stand in a ticker that is there; and who is turned away for another
    reason, such as a limit, must not be able to keep a process busy with looking.
    """
    is_wrong = status in _WRONG
    if not is_wrong and (status >= _WRONG_FROM or not _is_odd(raw_path, query)):
        return None
    found = _found(raw_path, query)
    if found == _NUMBER:
        return found if status == _UNPROCESSABLE else None
    return found if is_wrong or found in _NO_TICKER else None


@lru_cache(maxsize=1_024)  # a ticker of other letters than ASCII's is asked for as often as any
def _found(raw_path: bytes, query: bytes) -> str | None:
    target = unquote_to_bytes(raw_path + b"?" + query.replace(b"+", b" "))
    if b"%" in target:
        target = unquote_to_bytes(target)  # encoded twice, to get past whoever decodes once
    try:
        text = target.decode().lower()[:_LOOKED_AT]
    except UnicodeDecodeError:
        return _BROKEN
    found = _SIGNS.search(text)
    if found is not None:
        return str(found.lastgroup).replace("_", " ")
    return _NUMBER if _DIGITS.search(text) else None


def _is_odd(raw_path: bytes, query: bytes) -> bool:
    """Say whether there is anything in a target but what nine of ten have."""
    return b"%" in raw_path or b"%" in query or b".." in raw_path or b"'" in raw_path
