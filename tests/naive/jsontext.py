"""JSON as rules 1.4a-1.4g read it: a recursive descent over the decoded text."""

from __future__ import annotations

from typing import TypeAlias

Value: TypeAlias = "dict[str, Value] | list[Value] | str | bool | float | None"

WHITE = " \t\n\r"
DIGITS = "0123456789"
DEEPEST = 256
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# No rule reads the value of a number, so every number is this one.
A_NUMBER = 0.0
WORDS: dict[str, Value] = {
    "true": True,
    "false": False,
    "null": None,
    "NaN": A_NUMBER,
    "Infinity": A_NUMBER,
    "-Infinity": A_NUMBER,
}


class NotJsonError(Exception):
    """The text breaks the grammar."""


def read_object(payload: bytes) -> dict[str, Value] | None:
    """Return the object that a payload holds, or None where rules 1.4a-1.4g say that it leaves no row."""
    try:
        text = payload.decode("utf-8", "strict")
        if depth(text) > DEEPEST:
            return None
        value, end = read_value(text, 0)
        if skip_white(text, end) != len(text):
            return None
    except (UnicodeDecodeError, NotJsonError):
        return None
    if not isinstance(value, dict) or not clean(value):
        return None
    return value


def depth(text: str) -> int:
    """Return how deep brackets nest outside of strings."""
    deepest = now = 0
    inside = False
    skip = False
    for char in text:
        if skip:
            skip = False
        elif inside:
            skip = char == "\\"
            inside = char != '"'
        elif char == '"':
            inside = True
        elif char in "[{":
            now += 1
            deepest = max(deepest, now)
        elif char in "]}":
            now -= 1
    return deepest


def clean(value: Value) -> bool:
    """Say whether no string in the value, keys included, holds U+0000 or a lone surrogate."""
    if isinstance(value, str):
        return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, list):
        return all(clean(item) for item in value)
    if isinstance(value, dict):
        return all(clean(key) and clean(item) for key, item in value.items())
    return True


def skip_white(text: str, at: int) -> int:
    while at < len(text) and text[at] in WHITE:
        at += 1
    return at


def read_value(text: str, at: int) -> tuple[Value, int]:
    """Return the value that begins at or after `at`, and the place after it."""
    at = skip_white(text, at)
    if text.startswith('"', at):
        return read_string(text, at)
    if text.startswith("{", at):
        return read_members(text, at)
    if text.startswith("[", at):
        return read_items(text, at)
    for word, value in WORDS.items():
        if text.startswith(word, at):
            return value, at + len(word)
    return read_number(text, at)


def read_members(text: str, at: int) -> tuple[Value, int]:
    found: dict[str, Value] = {}
    at = skip_white(text, at + 1)
    if text.startswith("}", at):
        return found, at + 1
    while True:
        at = skip_white(text, at)
        key, at = read_string(text, at)
        at = expect(text, at, ":")
        found[key], at = read_value(text, at)
        at = skip_white(text, at)
        if text.startswith("}", at):
            return found, at + 1
        at = expect(text, at, ",")


def read_items(text: str, at: int) -> tuple[Value, int]:
    found: list[Value] = []
    at = skip_white(text, at + 1)
    if text.startswith("]", at):
        return found, at + 1
    while True:
        item, at = read_value(text, at)
        found.append(item)
        at = skip_white(text, at)
        if text.startswith("]", at):
            return found, at + 1
        at = expect(text, at, ",")


def expect(text: str, at: int, char: str) -> int:
    at = skip_white(text, at)
    if not text.startswith(char, at):
        raise NotJsonError
    return at + 1


def read_string(text: str, at: int) -> tuple[str, int]:
    if not text.startswith('"', at):
        raise NotJsonError
    at += 1
    units: list[str] = []
    while at < len(text):
        char = text[at]
        if char == '"':
            return join_surrogates(units), at + 1
        if char < " ":
            raise NotJsonError
        if char != "\\":
            units.append(char)
            at += 1
            continue
        escape = text[at + 1 : at + 2]
        if escape == "u":
            units.append(chr(read_hex(text[at + 2 : at + 6])))
            at += 6
        elif escape in ESCAPES:
            units.append(ESCAPES[escape])
            at += 2
        else:
            raise NotJsonError
    raise NotJsonError


def read_hex(digits: str) -> int:
    if len(digits) != 4 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
        raise NotJsonError
    return int(digits, 16)


def join_surrogates(units: list[str]) -> str:
    """Return the units as text, each high surrogate that a low one follows made one character with it."""
    chars: list[str] = []
    for unit in units:
        if chars and "\ud800" <= chars[-1] <= "\udbff" and "\udc00" <= unit <= "\udfff":
            chars[-1] = chr(0x10000 + ((ord(chars[-1]) - 0xD800) << 10) + (ord(unit) - 0xDC00))
        else:
            chars.append(unit)
    return "".join(chars)


def read_number(text: str, at: int) -> tuple[Value, int]:
    if text.startswith("-", at):
        at += 1
    at = at + 1 if text.startswith("0", at) else read_digits(text, at)
    if text.startswith(".", at) and text[at + 1 : at + 2] in tuple(DIGITS):
        at = read_digits(text, at + 1)
    if text[at : at + 1] in ("e", "E"):
        sign = 1 if text[at + 1 : at + 2] in ("+", "-") else 0
        at = read_digits(text, at + 1 + sign)
    return A_NUMBER, at


def read_digits(text: str, at: int) -> int:
    """Return the place after at least one ASCII digit."""
    start = at
    while at < len(text) and text[at] in DIGITS:
        at += 1
    if at == start:
        raise NotJsonError
    return at
