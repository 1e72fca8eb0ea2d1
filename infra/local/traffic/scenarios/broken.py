"""Payloads with a wrong or missing field, and payloads that are no operation at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from infra.local.traffic.scenarios.basics import (
    FOREIGN,
    NO_ROW,
    VALID,
    Scenario,
    amount,
    fields,
    follow_with,
    inscribe,
    new_ticker,
    put,
    spell,
)
from infra.local.traffic.tx import Output, op_return

if TYPE_CHECKING:
    from infra.local.traffic.desk import Desk

_DEEPEST = 256
_LONGEST = 2000


def _send(desk: Desk, payload: bytes | str) -> None:
    raw = payload.encode() if isinstance(payload, str) else payload
    inscribe(desk, desk.party(), raw, desk.party())


def missing_protocol(desk: Desk) -> None:
    """Name the protocol only in a nested object, or null where it counts."""
    _send(
        desk,
        desk.rng.choice(['{"x":{"p":"brc-20"},"op":"mint","tick":"a"}', '{"x":{"p":"brc-20"},"p":null,"op":"mint"}']),
    )


def wrong_protocol(desk: Desk) -> None:
    """Say the protocol twice; the last one counts."""
    _send(
        desk,
        desk.rng.choice(['{"p":"brc-20","p":"brc-21","op":"mint","tick":"a"}', '{"p":"brc-20","op":"mint","p":20}']),
    )


def missing_operation(desk: Desk) -> None:
    """Leave `op` out, or say null."""
    _send(desk, desk.rng.choice(['{"p":"brc-20","tick":"a"}', '{"p":"brc-20","op":null,"tick":"a"}']))


def unknown_operation(desk: Desk) -> None:
    """Play an `op` of another release, in capitals, or no string."""
    operation = desk.rng.choice(["list", "Mint", "TRANSFER", "", "a;b\\c\nd", 5, ["mint"], {"op": "mint"}, True])
    _send(desk, spell(desk, {"p": "brc-20", "op": operation, "tick": "ordi", "amt": "1"}))


def missing_ticker(desk: Desk) -> None:
    """Leave `tick` out, or say null."""
    operation = desk.rng.choice(["deploy", "mint", "transfer", "burn"])
    more: dict[str, object] = desk.rng.choice([{}, {"tick": None}, {"ticker": "ordi"}])
    _send(desk, spell(desk, {"p": "brc-20", "op": operation, "amt": "1", "m": "1", **more}))


def empty_ticker(desk: Desk) -> None:
    """Play a `tick` that is empty or no string."""
    operation = desk.rng.choice(["deploy", "mint", "transfer", "burn"])
    body = {"p": "brc-20", "op": operation, "tick": desk.rng.choice(["", 0, 7, ["a"], {}, False]), "amt": "1"}
    _send(desk, spell(desk, body))


def malformed_json(desk: Desk) -> None:
    """Send text that is nearly JSON, or JSON that is no object."""
    good = json.dumps(fields("mint", new_ticker(desk), amt="1"), separators=(",", ":"))
    bad = [
        good[:-1],
        good + "}",
        good + "x",
        f"[{good}]",
        good.replace('"', "'"),
        good[:-1] + ",}",
        "\ufeff" + good,
        f'"{good}"',
    ]
    # The mark must be there, or nobody would look at the payload.
    _send(desk, desk.rng.choice([text for text in bad if '"p":"brc-20"' in text]))


def bad_text(desk: Desk) -> None:
    """Send bytes that are no UTF-8; lone surrogates and NUL, in values or keys."""
    start = b'{"p":"brc-20","op":"mint","amt":"1","tick":"a'
    ends = (
        b'\xff"}',
        b'\xc0\xaf"}',
        b'\xed\xa0\x80"}',
        b'\\ud800"}',
        b'\\udc00x"}',
        b'\\u0000"}',
        b'","\\u0000":1}',
        b'","x":["\\ud800"]}',
    )
    _send(desk, start + desk.rng.choice(ends))


def too_deep(desk: Desk) -> None:
    """Nest one level more than is allowed, in a field that is ignored."""
    _send(desk, _nested(desk, new_ticker(desk), _DEEPEST))


def deepest(desk: Desk) -> None:
    """Nest as deep as is allowed: a valid mint."""
    ticker, deploy = desk.deploy(mintable=True)
    _send(desk, _nested(desk, ticker, _DEEPEST - 1, amount(desk, deploy.mintable)))


def _nested(desk: Desk, ticker: str, levels: int, amt: str = "1") -> bytes:
    body = json.dumps(fields("mint", ticker, amt=amt), separators=(",", ":"), ensure_ascii=False)
    opening, closing = desk.rng.choice([("[", "]"), ('{"a":', "}")])
    inner = "" if opening == "[" else "1"
    return f'{body[:-1]},"x":{opening * levels}{inner}{closing * levels}}}'.encode()


def too_long(desk: Desk) -> None:
    """Play a payload one byte longer than is read."""
    body = json.dumps(fields("mint", new_ticker(desk), amt="1"), separators=(",", ":")).encode()
    _send(desk, body + b" " * (_LONGEST + 1 - len(body)))


def odd_but_good(desk: Desk) -> None:
    """Play the longest payload, doubled keys of which the last wins, NaN in an ignored field, escapes."""
    ticker, deploy = desk.deploy(mintable=True)
    amt = amount(desk, deploy.mintable)
    body = json.dumps(fields("mint", ticker, amt=amt), separators=(",", ":"), ensure_ascii=False)
    ends = [
        f',"x":NaN,"y":[Infinity,-Infinity]{"}"}',
        ',"op":"mint"}',
        f',"amt":"{amt}"{"}"}',
        ',"note":"\\ud83c\\udf55"}',
    ]
    text = body[:-1] + desk.rng.choice(ends)
    _send(desk, text.encode() + b" " * (_LONGEST - len(text.encode()) if desk.rng.random() < 0.2 else 0))


def two_operations(desk: Desk) -> None:
    """Put two BRC-20 outputs into one transaction: neither counts."""
    bodies = [fields(desk.rng.choice(["deploy", "mint"]), new_ticker(desk), amt="1", m="1") for _ in range(2)]
    outputs = [Output(0, op_return(spell(desk, body))) for body in bodies]
    follow_with(desk, desk.party(), [outputs[0], desk.gift(desk.party()), outputs[1], desk.gift(desk.party())])


def with_a_runestone(desk: Desk) -> None:
    """Play an operation and a Runestone in one transaction: two, so neither counts."""
    body = Output(0, op_return(spell(desk, fields("mint", new_ticker(desk), amt="1"))))
    outputs = [body, Output(0, _runestone(desk))]
    desk.rng.shuffle(outputs)
    follow_with(desk, desk.party(), [*outputs, desk.gift(desk.party())])


def unreadable_script(desk: Desk) -> None:
    """Spoil the script or the mark: not only pushes, nothing first, other spellings, a push cut short."""
    payload = json.dumps(fields("mint", new_ticker(desk), amt="1"), separators=(",", ":")).encode()
    scripts = (
        op_return(payload, after=b"\x76"),
        op_return(payload, before=b"\x00"),
        op_return(payload, before=b"\x51"),
        op_return(payload, before=b"\x4f"),
        op_return(payload, before=b"\x01x"),
        op_return(payload)[:-1],
        op_return(payload.replace(b":", b":  ")),
        op_return(payload.replace(b'"p":', b'"p" :')),
        op_return(payload.replace(b'"p"', b'"P"')),
        b"\x6a" + payload,
    )
    put(desk, desk.party(), Output(0, desk.rng.choice(scripts)), desk.party())


def foreign(desk: Desk) -> None:
    """Write somebody else's OP_RETURN: text, nothing, other protocols, raw bytes."""
    scripts = (FOREIGN, b"\x6a", op_return(b"brc-20 is mentioned here"), op_return(b'{"p":"tap","op":"mint"}'))
    script = desk.rng.choice([*scripts, op_return(desk.rng.randbytes(desk.rng.randrange(1, 200)))])
    put(desk, desk.party(), Output(0, script), desk.party())


def runestone(desk: Desk) -> None:
    """Play a Runestone alone."""
    put(desk, desk.party(), Output(0, _runestone(desk)), desk.party())


def _runestone(desk: Desk) -> bytes:
    body = desk.rng.randbytes(desk.rng.randrange(1, 30))
    return b"\x6a\x5d" + bytes([len(body)]) + body


SCENARIOS = (
    Scenario("missing protocol", 0.7, missing_protocol, ("MISSING_PROTOCOL",)),
    Scenario("wrong protocol", 0.7, wrong_protocol, ("INVALID_PROTOCOL",)),
    Scenario("missing operation", 0.7, missing_operation, ("MISSING_OPERATION",)),
    Scenario("unknown operation", 1.5, unknown_operation, ("INVALID_OPERATION",)),
    Scenario("missing ticker", 0.7, missing_ticker, ("MISSING_TICKER",)),
    Scenario("empty ticker", 0.7, empty_ticker, ("EMPTY_TICKER",)),
    Scenario("malformed json", 1.5, malformed_json, NO_ROW),
    Scenario("bad text", 1, bad_text, NO_ROW),
    Scenario("too deep", 0.5, too_deep, NO_ROW),
    Scenario("deepest", 0.5, deepest, VALID),
    Scenario("too long", 0.5, too_long, NO_ROW),
    Scenario("odd but good", 1.5, odd_but_good, VALID),
    Scenario("two operations", 1, two_operations, NO_ROW),
    Scenario("operation with a runestone", 0.7, with_a_runestone, NO_ROW),
    Scenario("unreadable script", 1.5, unreadable_script, NO_ROW),
    Scenario("foreign note", 3, foreign, NO_ROW),
    Scenario("runestone", 2, runestone, NO_ROW),
)
