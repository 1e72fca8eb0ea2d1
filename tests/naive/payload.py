"""Sections 1, 2 and 7.1: scripts, payloads, tickers, amounts and signatures."""

from __future__ import annotations

from tests.naive.jsontext import DIGITS, Value, read_object

OP_RETURN = 0x6A
LAST_PUSH = 0x60
LENGTH_BYTES = {0x4C: 1, 0x4D: 2, 0x4E: 4}
LONGEST_PAYLOAD = 2000
LIKE = (b'"p":"brc-20"', b'"p": "brc-20"')
STEP = (b'"p":"brc-20"', b'"op":"transfer"')
OPERATIONS = ("deploy", "mint", "transfer", "burn")
SIGHASH_83 = 0x83

# Letters whose upper case is younger than Unicode 14 (assigned by 16 or 17). Python's own tables follow the version of
# the interpreter, which is 14 on Python 3.11: on a later one these would turn into letters that 14 does not know.
YOUNGER_THAN_UNICODE_14 = (
    range(0x1C89, 0x1C8B),
    range(0xA7CB, 0xA7D0),
    range(0xA7D2, 0xA7D5),
    range(0xA7DA, 0xA7DD),
    range(0x10D50, 0x10D86),
    range(0x16EA0, 0x16ED4),
)


def is_op_return(script: bytes) -> bool:
    return script[:1] == bytes([OP_RETURN])


def is_runestone(script: bytes) -> bool:
    return script[:2] == b"\x6a\x5d"


def read_push(script: bytes, at: int) -> tuple[bytes | None, int] | None:
    """Return what the opcode at `at` pushes (None for the opcodes of 1.2c) and where it ends.

    Return None where there is no complete push.
    """
    opcode = script[at]
    if opcode > LAST_PUSH:
        return None
    at += 1
    if opcode == 0 or opcode > 0x4E:
        return None, at
    size = opcode
    if opcode in LENGTH_BYTES:
        prefix = script[at : at + LENGTH_BYTES[opcode]]
        if len(prefix) < LENGTH_BYTES[opcode]:
            return None
        size = int.from_bytes(prefix, "little")
        at += len(prefix)
    if at + size > len(script):
        return None
    return script[at : at + size], at + size


def is_nulldata(script: bytes) -> bool:
    if not is_op_return(script):
        return False
    at = 1
    while at < len(script):
        push = read_push(script, at)
        if push is None:
            return False
        at = push[1]
    return True


def payload_of(script: bytes) -> bytes | None:
    """Return the payload of an output script, or None where it carries none."""
    if not is_nulldata(script) or len(script) == 1:
        return None
    push = read_push(script, 1)
    if push is None or push[0] is None or len(push[0]) > LONGEST_PAYLOAD:
        return None
    return push[0]


def is_brc20_like(script: bytes) -> bool:
    payload = payload_of(script)
    return is_runestone(script) or (payload is not None and any(mark in payload for mark in LIKE))


def is_step(script: bytes) -> bool:
    payload = payload_of(script)
    return payload is not None and all(mark in payload for mark in STEP)


def fields_of(payload: bytes) -> dict[str, Value] | None:
    """Return the fields that are present (2.1i: null is absence), or None where the payload leaves no row."""
    found = read_object(payload)
    return None if found is None else {key: value for key, value in found.items() if value is not None}


def check_fields(fields: dict[str, Value]) -> str:
    """Return the error code of section 2.1, or an empty string."""
    tick = fields.get("tick")
    checks = [
        ("p" not in fields, "MISSING_PROTOCOL"),
        (fields.get("p") != "brc-20", "INVALID_PROTOCOL"),
        ("op" not in fields, "MISSING_OPERATION"),
        (fields.get("op") not in OPERATIONS, "INVALID_OPERATION"),
        (tick is None, "MISSING_TICKER"),
        (not isinstance(tick, str) or tick == "", "EMPTY_TICKER"),
    ]
    return first_failure(checks)


def first_failure(checks: list[tuple[bool, str]]) -> str:
    return next((code for failed, code in checks if failed), "")


def normalise(tick: str) -> str:
    """Return the ticker that a `tick` of at least one character names."""
    if tick[0] in "yY":
        return "y" + upper(tick[1:])
    return upper(tick)


def upper(text: str) -> str:
    return "".join(upper_letter(char) for char in text)


def upper_letter(char: str) -> str:
    result = char.upper()
    if any(ord(part) in block for part in result for block in YOUNGER_THAN_UNICODE_14):
        return char
    return result


def is_reserved(ticker: str) -> bool:
    return ticker[0] == "y"


def amount_of(value: Value) -> int | None:
    """Return a number of 10^-8 units, or None where the value is no amount."""
    if not isinstance(value, str):
        return None
    whole, point, fraction = value.partition(".")
    if whole == "" or (point and fraction == "") or len(fraction) > 8:
        return None
    if any(char not in DIGITS for char in whole + fraction):
        return None
    if int(whole) >= 10**30:
        return None
    return int(whole + fraction.ljust(8, "0"))


def show_amount(units: int | None) -> str:
    if units is None:
        return ""
    return f"{units // 10**8}.{units % 10**8:08d}"


def is_83(script_sig: bytes, witness: list[bytes]) -> bool:
    """Say whether an input carries SIGHASH_SINGLE with ANYONECANPAY (7.1)."""
    signature: bytes | None = None
    if witness:
        signature = witness[0]
    elif script_sig:
        push = read_push(script_sig, 0)
        signature = push[0] if push else None
    if not signature or signature[-1] != SIGHASH_83:
        return False
    return len(signature) == 65 or is_der(signature[:-1])


def is_der(body: bytes) -> bool:
    """Say whether a signature without its sighash byte is strictly encoded in the sense of BIP 66."""
    if not 8 <= len(body) <= 72 or body[0] != 0x30 or body[1] != len(body) - 2:
        return False
    after_r = skip_integer(body, 2)
    return after_r is not None and skip_integer(body, after_r) == len(body)


def skip_integer(body: bytes, at: int) -> int | None:
    """Return the place after a positive, shortest DER integer at `at`, or None where there is none."""
    if at + 2 > len(body) or body[at] != 0x02:
        return None
    number = body[at + 2 : at + 2 + body[at + 1]]
    if len(number) < body[at + 1] or not number or number[0] >= 0x80:
        return None
    if len(number) > 1 and number[0] == 0 and number[1] < 0x80:
        return None
    return at + 2 + len(number)
