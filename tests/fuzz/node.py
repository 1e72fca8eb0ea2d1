"""Target: a node that answers with something else, seen from where HTTP begins."""

from __future__ import annotations

import io
import json
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from indexer.bitcoin.block import display, internal
from indexer.bitcoin.rest import RestBlockSource
from indexer.bitcoin.rpc import NodeError, RpcClient
from indexer.bitcoin.source import RpcBlockSource
from indexer.sync.prepare import Preparer
from infra.local.node.wire import Input, Output, compact_size
from tests.fuzz.agreement import storable
from tests.fuzz.bounds import time_for
from tests.fuzz.case import Case, Depth, Reached
from tests.fuzz.grounds import ground, pick
from tests.fuzz.mutate import mutate
from tests.fuzz.plain import PlainTx, read_block, twice
from tests.protocol.building import serialise

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.fuzz.grounds import Ground

_KINDS = ("rest", "rpc", "no-index")
_REFUSALS = (
    {"code": -5, "message": "No such mempool transaction. Use -txindex or provide a block hash"},
    {"code": -28, "message": "Loading block index…"},
    {"code": -8, "message": "Block height out of range"},
    {"code": 1 << 70, "message": None},
)
_VALUES: tuple[object, ...] = (None, 0, -1, 1 << 63, 1 << 70, 1.5, 1e308, True, "", "zz", "ab", "é", "\0", [], {}, [[]])
_STATUSES = (b"200 OK", b"401 Unauthorized", b"404 Not Found", b"500 No", b"503 Busy", b"204 None", b"100 Go", b"999 ?")


class Node:
    """`RpcBlockSource`, `RestBlockSource` and what they decode, up to a block's operations."""

    name = "node"

    def draw(self, rng: random.Random) -> Case:
        name, kind = pick(rng), rng.choice(_KINDS)
        honest = _honest(name, kind)
        number = rng.randrange(len(honest))
        return Case(_bent(rng, honest[number]), f"{number} {kind} {name}")

    def run(self, case: Case) -> Reached:
        number, kind, name = case.context.split(" ", 2)
        node = FakeNode(ground(name), kind, int(number), case.data)
        try:
            with time_for(case.data):
                found = _session(ground(name), kind, node)
        except NodeError as error:
            return Reached(Depth.REFUSED, (type(error).__name__,))
        return found


@cache
def _honest(name: str, kind: str) -> list[bytes]:
    """Return what an honest node says in a session."""
    node = FakeNode(ground(name), kind)
    _session(ground(name), kind, node)
    return node.said


def _session(at: Ground, kind: str, node: FakeNode) -> Reached:
    """Ask a node all that the indexer asks. Raises NodeError."""
    with patch("socket.create_connection", lambda *_, **__: FakeSocket(node)):
        client = RpcClient("http://node:8332", user="me", password="hunter2")
        with closing(client):
            source = RestBlockSource(client) if kind == "rest" else RpcBlockSource(client)
            tip = source.tip()
            assert (type(tip.chain), type(tip.height), len(tip.hash)) == (str, int, 32)
            assert all(len(each) == 32 for each in source.hashes(at.height, 3))
            prepared = Preparer(source, at.rules).prepare(at.height, twice(at.block[:80]))
    delta = at.apply(prepared)
    storable(at.height, delta.rows)
    if not delta.rows:
        return Reached(Depth.DECODED)
    return Reached(Depth.VALID if any(row.valid for row in delta.rows) else Depth.OPERATION)


def _bent(rng: random.Random, said: bytes) -> bytes:
    head, _, body = said.partition(b"\r\n\r\n")
    draw = rng.random()
    if draw < 0.25:
        return mutate(rng, said)
    if draw < 0.35:
        return _framed(rng, body)
    if draw < 0.7 and body[:1] in {b"{", b"["}:
        return _response(json.dumps(_bent_json(rng, json.loads(body))).encode())
    if draw < 0.75:
        return _response(b"[" * rng.choice((10, 1_000, 100_000)))
    return head + b"\r\n\r\n" if draw < 0.8 else _response(mutate(rng, body))


def _framed(rng: random.Random, body: bytes) -> bytes:
    """Return an answer whose HTTP is odd: another status, another length, or in chunks that are none."""
    start = b"HTTP/1." + rng.choice((b"0 ", b"1 ", b"9 ")) + rng.choice(_STATUSES) + b"\r\n"
    draw = rng.random()
    if draw < 0.3:
        sizes = rng.choice((b"%x" % len(body), b"-1", b"ffffffffffffffff", b"5;x=y", b"", b"1_0", b"zz"))
        return start + b"Transfer-Encoding: chunked\r\n\r\n" + sizes + b"\r\n" + body + b"\r\n0\r\n\r\n"
    if draw < 0.6:
        length = rng.choice((str(len(body)), "-1", "0", "99999999999999999999", "x", "1, 2", str(len(body) + 1)))
        return start + f"Content-Length: {length}\r\n\r\n".encode() + body
    return start + rng.choice((b"X: y\r\n" * 101, b"X" * 70_000, b"\r\n" * 3, b": \r\n", b"")) + b"\r\n" + body


def _bent_json(rng: random.Random, value: Any) -> Any:  # noqa: ANN401 - JSON
    """Replace, drop or double something in a value."""
    if rng.random() < 0.15 or not isinstance(value, dict | list) or not value:
        if isinstance(value, str) and rng.random() < 0.6:
            return mutate(rng, value.encode(), most=1).decode("utf-8", "replace")
        return rng.choice((*_VALUES, *_REFUSALS))
    if isinstance(value, dict):
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {name: each for name, each in value.items() if name != key}
        return {name: _bent_json(rng, each) if name == key else each for name, each in value.items()}
    at = rng.randrange(len(value))
    if rng.random() < 0.2:
        return value[:at] + value[at:][: rng.choice((0, 2))] + value[at + 1 :]
    return [*value[:at], _bent_json(rng, value[at]), *value[at + 1 :]]


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class FakeNode:
    """Knows one block and what it spends; its answer with this number is another one."""

    def __init__(self, at: Ground, kind: str, number: int = -1, instead: bytes = b"") -> None:
        self._ground = at
        self._kind = kind
        self._number = number
        self._instead = instead
        self.said: list[bytes] = []

    def respond(self, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        method, path = head.split(b" ", 2)[:2]
        answer = self._page(path.decode()) if method == b"GET" else self._replies(json.loads(body))
        self.said.append(self._instead if len(self.said) == self._number else answer)
        return self.said[-1]

    def _replies(self, calls: Any) -> bytes:  # noqa: ANN401 - JSON
        if isinstance(calls, list):
            return _response(json.dumps([self._reply(call) for call in calls]).encode())
        return _response(json.dumps(self._reply(calls)).encode())

    def _reply(self, call: dict[str, Any]) -> dict[str, Any]:
        if call["method"] == "getrawtransaction" and self._kind == "no-index":
            return {"result": None, "error": _REFUSALS[0], "id": call["id"]}
        return {"result": self._result(call["method"], call["params"]), "error": None, "id": call["id"]}

    def _result(self, method: str, params: list[Any]) -> Any:  # noqa: ANN401 - JSON
        block_hash = display(twice(self._ground.block[:80]))
        match method, params:
            case "getblockchaininfo", _:
                return {"chain": "regtest", "blocks": self._ground.height, "bestblockhash": block_hash}
            case "getblockhash", _:
                return block_hash
            case "getblock", [_, 0]:
                return self._ground.block.hex()
            case "getblock", _:
                return {"tx": [{"vin": list(self._spent(tx))} for tx in self._transactions()]}
            case _:
                # No transaction has this id; whoever asks for an output of it finds the one that the block spends.
                txid = internal(params[0])
                spent = [each.vout for tx in self._transactions() for each in tx.inputs if each.txid == txid]
                outputs = [Output(0, self._ground.script(txid, vout)) for vout in range(max(spent, default=0) + 1)]
                return serialise([Input(bytes(32), 0, b"", 0)], outputs).hex()

    def _spent(self, tx: PlainTx) -> Iterator[dict[str, Any]]:
        for each in tx.inputs:
            script = self._ground.script(each.txid, each.vout)
            prevout = {"scriptPubKey": {"hex": script.hex()}}
            yield {"txid": display(each.txid), "vout": each.vout, "prevout": prevout}

    def _page(self, path: str) -> bytes:
        if "chaininfo" in path:
            return _response(json.dumps(self._result("getblockchaininfo", [])).encode())
        if "/block/" in path:
            return _response(self._ground.block)
        spent = [[self._ground.script(each.txid, each.vout) for each in tx.inputs] for tx in self._transactions()]
        lists = [b"".join(bytes(8) + compact_size(len(script)) + script for script in some) for some in spent]
        sizes = [compact_size(len(some)) for some in spent]
        return _response(compact_size(len(spent)) + b"".join(map(b"".join, zip(sizes, lists, strict=True))))

    def _transactions(self) -> tuple[PlainTx, ...]:
        block = read_block(self._ground.block)
        assert block is not None
        return block.transactions


class FakeSocket:
    """A socket as `http.client` uses it, with a `FakeNode` at its other end."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node
        self._asked = b""

    def settimeout(self, _seconds: float) -> None:
        """Nothing here takes time."""

    def setsockopt(self, *_: int) -> None:
        """There is nothing below it."""

    def sendall(self, data: bytes) -> None:
        self._asked += data

    def makefile(self, _mode: str) -> io.BytesIO:
        asked, self._asked = self._asked, b""
        return io.BytesIO(self._node.respond(asked))

    def close(self) -> None:
        """There is nothing to close."""
