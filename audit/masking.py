"""What the trail may hold: JSON values without secrets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

MASK = "***"

# A name tells a secret by one of its words, wherever it stands: DB_PASSWORD, tokenValue, secrets.
_SECRET = frozenset(
    {"password", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "tokens", "pepper", "credential"}
    | {"credentials", "authorization", "cookie", "identity", "identities"}
)
# These only as the last word: AUTH_KEY is one, key_id, key_ring and the table api_keys are none.
_SECRET_LAST = frozenset({"key", "apikey", "privatekey"})
_PUBLIC = frozenset({"public", "primary", "foreign", "partition", "object", "s3"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_NAMES = r"(?:password|passwd|passphrase|secret|token|pepper|access[_-]key|api[_-]key)"
_VALUE = r"(?:'[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)"
_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Credentials of URLs. A password with a raw / in it is no URL any more, yet people write them.
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(?:[^\s/?#\"'<>]*|[^\s/@:\"'<>]*:[^\s\"'<>]*)@"), r"\1"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"AGE-SECRET-KEY-[0-9A-Za-z-]+"), MASK),
    (re.compile(r"\b(sk_[0-9a-f]{12})_[A-Za-z0-9_-]+"), rf"\1_{MASK}"),  # an API key: its id may be shown
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+"), MASK),  # a token
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {MASK}"),
    # name=value in a connection string, a query or a command line, and --name value
    (re.compile(rf"({_NAMES}[A-Za-z0-9_-]*\s*[=:]\s*){_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"(--[a-z-]*{_NAMES}\s+){_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
)


def masked(value: object) -> Json:
    """Return a value as JSON that the trail may hold.

    What stands under a name such as password, secret, token, pepper, key (not key_id), identity or authorization
    becomes "***", None excepted; texts lose the credentials of URLs and what looks like a key or token. Values that
    JSON has no word for (bytes, dates, paths, NaN) become texts.
    """
    if isinstance(value, Mapping):
        return {masked_text(str(name)): _under(str(name), each) for name, each in value.items()}
    if isinstance(value, AbstractSet):
        return sorted((masked(each) for each in value), key=str)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return [masked(each) for each in value]
    return _single(value)


def masked_text(text: str) -> str:
    """Return a text without what looks like a secret, and without what UTF-8 cannot hold."""
    for pattern, instead in _TEXTS:
        text = pattern.sub(instead, text)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _single(value: object) -> Json:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return masked_text(str(value))


def is_secret(name: str) -> bool:
    """Say whether a value is a secret by the name it stands under."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if _SECRET.intersection(words):
        return True
    return bool(words) and words[-1] in _SECRET_LAST and not _PUBLIC.intersection(words)


def _under(name: str, value: object) -> Json:
    return MASK if is_secret(name) and value is not None else masked(value)
