"""Payloads by the grammar of JSON, spelled in every way that it allows and in many that it does not."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tests.fuzz.mutate import mutate
from tests.naive.payload import payload_of
from tests.protocol import vectors
from tests.protocol.hostile import hostile_payload

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_OPERATIONS = (*("deploy", "mint", "transfer") * 4, "burn", "burn", "Mint", "wrap", "")
_TICKERS = (
    "ordi",
    "ORDI",
    "sats",
    "yordi",
    "Y",
    "",
    " ",
    "ord%",
    "a;b\\c\nd",
    *"\u00df\u0149\u1e99\u0130\u0131\ufb03\u0390",
)
_AMOUNTS = ("0", "1", "5.5", "100", "00100.00000000", "0.00000001", "100.00000001")
_BAD_AMOUNTS = (
    "0.000000001",
    "1.",
    ".5",
    "-1",
    "+1",
    "1e3",
    "1_0",
    " 1",
    "1\n",
    "1\0",
    "\u0661",
    "\U0001d7cf",
    "1,0",
    "0x1",
    "NaN",
    "",
)
_EXTREMES = ("9" * 30, "1" + "0" * 30, "9" * 30 + ".99999999", "0" * 400 + "1", "9" * 700)
# Of each plane and of each trouble: NUL, controls, soft hyphen, combining, Greek sigma, line separators, directions, a
# byte order mark, non-characters, letters younger than Unicode 14, beyond the basic plane, the last code point; and
# letters whose upper case is more than one.
_LETTERS = '\x00\x01\n\x1f"\\/;\x7f\x85\xad\u0300\u03c2\u1c8a\u2028\u202e\ufeff\ufffe\uffff\ua7cb'
_LETTERS += "\U00010d70\U0001f600\U0010ffffaAyY%_\u00e9\u00df\u0390\u0149\u01f0\u1e99\u1fb3\ufb01\u03a9"
_NUMBERS = ("0", "-0", "1", "1.5", "1e400", "-1E-400", "01", "+1", ".5", "1.", "0x1", "1e", "NaN", "-NaN", "-Infinity")
_WORDS = ("null", "true", "false", "Infinity", "nul", "True", "undefined", "", "[]", "{}", "[1,]", '{"a":1,}', "{a:1}")
_WHITE = (" ", "\t", "\n", "\r", "  ", "\f", "\v", "\u00a0", "\u2028", "\ufeff", "/**/", "\0")
_SHORT = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\", "/": "\\/"}
_ESCAPES = (
    "\\ud800",
    "\\udc00",
    "\\ud83d\\ude00",
    "\\ude00\\ud83d",
    "\\u0000",
    "\\u00e9",
    "\\u",
    "\\u12",
    "\\x41",
    "\\",
)
_DEEPEST = 256


def payload(rng: random.Random) -> bytes:
    """Return a payload; most say something that the rules know."""
    draw = rng.random()
    if draw < 0.2:
        found = hostile_payload(rng)
    elif draw < 0.4:
        found = rng.choice(_of_vectors())
    else:
        found = _spelled(rng)
    if rng.random() < 0.25:
        found = mutate(rng, found, rng.choice(_of_vectors()), 2)
    return found


def bent(rng: random.Random, found: bytes) -> bytes:
    """Return another payload in the place of one: the same with a change, or one with nothing in common."""
    return mutate(rng, found, payload(rng), 2) if rng.random() < 0.4 else payload(rng)


@cache
def _of_vectors() -> tuple[bytes, ...]:
    """Return every payload of the vectors."""
    found: dict[bytes, None] = {}
    for vector in vectors.load():
        for tx in vector.transactions:
            found |= {data: None for output in tx.outputs if (data := payload_of(output.script))}
    return tuple(found)


def _spelled(rng: random.Random) -> bytes:
    op = rng.choice(_OPERATIONS)
    members = [_protocol(rng), f'"op":{_text(rng, op)}', f'"tick":{_value(rng, rng.choice(_TICKERS))}']
    if op == "transfer" and rng.random() < 0.7:
        members[1] = '"op":"transfer"'
    names = rng.choice((("m", "l"), ("m",), ("amt",))) if op == "deploy" else ("amt",)
    members += [f'"{name}":{_value(rng, _amount(rng))}' for name in names]
    while rng.random() < 0.25:
        members.insert(rng.randrange(len(members) + 1), _extra(rng))
    if rng.random() < 0.2:
        rng.shuffle(members)
    text = _white(rng) + "{" + ("," + _white(rng)).join(members) + "}" + _white(rng)
    return text.encode("utf-8", "surrogatepass")


def _protocol(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.85:
        return '"p":"brc-20"'
    if draw < 0.93:
        return '"p": "brc-20"'
    if draw < 0.96:
        return '"x":{"p":"brc-20"}'  # marked, and yet without a protocol
    return f'"p":{_value(rng, rng.choice(("brc-20", "brc-21", "BRC-20")))}'


def _extra(rng: random.Random) -> str:
    key = rng.choice(("p", "op", "tick", "amt", "m", "l", "max", "x", "\0", _string(rng)))
    return f"{_text(rng, key)}{_white(rng)}:{_white(rng)}{_junk(rng)}"


def _amount(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.75:
        return rng.choice(_AMOUNTS)
    return rng.choice(_BAD_AMOUNTS if draw < 0.9 else _EXTREMES)


def _value(rng: random.Random, wanted: str) -> str:
    """Return the text of a value: mostly the string wanted, else another string, else anything."""
    draw = rng.random()
    if draw < 0.85:
        return _text(rng, wanted)
    return _text(rng, _string(rng)) if draw < 0.93 else _junk(rng)


def _string(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return "".join(
            chr(rng.choice((rng.randrange(0x3000), rng.randrange(0xD800)))) for _ in range(rng.randint(1, 4))
        )
    return "".join(rng.choices(_LETTERS, k=rng.randint(1, 5)))


def _text(rng: random.Random, string: str) -> str:
    """Return a string as JSON writes it, each character in one of its spellings."""
    if rng.random() < 0.8 and string.isascii() and string.isprintable():
        return '"' + string.replace("\\", "\\\\").replace('"', '\\"') + '"'
    parts = [_letter(rng, letter) for letter in string]
    if rng.random() < 0.05:
        parts.insert(rng.randrange(len(parts) + 1), rng.choice(_ESCAPES))
    return '"' + "".join(parts) + '"'


def _letter(rng: random.Random, letter: str) -> str:
    draw = rng.random()
    if letter in _SHORT and draw < 0.7:
        return _SHORT[letter]
    if draw < 0.3 or (letter < " " and draw < 0.97):
        units = letter.encode("utf-16-be", "surrogatepass")
        form = rng.choice(("\\u{:04x}", "\\u{:04X}"))
        return "".join(form.format(int.from_bytes(units[at : at + 2])) for at in range(0, len(units), 2))
    return letter


def _junk(rng: random.Random) -> str:
    return rng.choice(_JUNK)(rng)


def _long_number(rng: random.Random) -> str:
    return rng.choice(("{}", "-{}", "0.{}", "{}e{}", "1e{}")).format(*["7" * rng.randint(1, 700)] * 2)


def _nested(rng: random.Random) -> str:
    """Return brackets as deep as the rules allow, or one deeper, or not closed."""
    depth = rng.choice((2, 20, _DEEPEST - 2, _DEEPEST - 1, _DEEPEST, _DEEPEST + 1, 600))
    opened, closed = rng.choice((("[", "]"), ('{"a":', "}"), ('[{"":', "}]")))
    inside = rng.choice(("", "1", '"["', '"\\"["'))
    return (
        opened * (depth // opened.count("[" if "[" in opened else "{"))
        + inside
        + closed * rng.choice((depth, depth - 1))
    )


def _white(rng: random.Random) -> str:
    draw = rng.random()
    return "" if draw < 0.9 else rng.choice(_WHITE[:5] if draw < 0.98 else _WHITE)


_JUNK: tuple[Callable[[random.Random], str], ...] = (
    lambda rng: rng.choice(_NUMBERS),
    lambda rng: rng.choice(_WORDS),
    lambda rng: _text(rng, _string(rng)),
    lambda rng: f"[{_text(rng, _string(rng))},{rng.choice(_NUMBERS)}]",
    lambda rng: f'{{"p":{_text(rng, _string(rng))},"p":"brc-20"}}',
    _long_number,
    _nested,
)
