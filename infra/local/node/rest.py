"""bitcoind's REST interface (-rest=1), as Bitcoin Core 30 has it: paths, forms, statuses and texts.

Served are chaininfo, blockhashbyheight, headers, block, spenttxouts and tx. It asks for no credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from infra.local.node import undo
from infra.local.node.methods_chain import getblockchaininfo
from infra.local.node.methods_transactions import GENESIS_COINBASE
from infra.local.node.present import Json, amount, block_json, displayed, header_json, transaction_json
from infra.local.node.rpc import WARMING_UP
from infra.local.node.scripts import describe
from infra.local.node.wire import decode_block, decode_transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.local.node.node import Node
    from infra.local.node.rpc import Dispatcher
    from infra.local.node.store import Entry, View

MAX_HEADERS = 2000
_FORMS = {"bin": "application/octet-stream", "hex": "text/plain", "json": "application/json"}
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_NUMBER = re.compile(r"-?[0-9]+")
# What Core leaves out of a text that it repeats from a URI.
_UNSAFE = re.compile(r"[^A-Za-z0-9!*'();:@&=+$,/?#\[\]\-_.~%]")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    type: str
    body: bytes


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, "text/plain", f"{message}\r\n".encode())


class Rest:
    """Answers GETs from the dispatcher's node."""

    def __init__(self, dispatcher: Dispatcher, failed: Callable[[str, Exception], None]) -> None:
        self._dispatcher = dispatcher
        self._failed = failed

    def answer(self, uri: str) -> Answer | None:
        """Answer a URI (path and query); None where it is none of the interface's. Never raises."""
        found = next((item for item in _HANDLERS if uri.startswith(item[0])), None)
        if found is None:
            return None
        prefix, handler = found
        node = self._dispatcher.node
        if node is None:
            return _RefusedError(503, f"Service temporarily unavailable: {WARMING_UP}").answer
        try:
            return handler(node, _Request(uri[len(prefix) :]))
        except _RefusedError as error:
            return error.answer
        # As with the methods: what trips one request must not take the node with it.
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged
            self._failed(prefix, error)
            return _RefusedError(500, f"{type(error).__name__} in {prefix}: see the node's log").answer


class _Request:
    """The part of a URI behind a handler's prefix: the parameter, the form by its suffix, the query."""

    def __init__(self, uri: str) -> None:
        path, _, self._query = uri.rpartition("?") if "?" in uri else (uri, "", "")
        name, dot, suffix = path.rpartition(".")
        # A suffix that is no form stays with the parameter, which it spoils.
        known = dot and (suffix in _FORMS or not suffix)
        self.parameter = name if known else path
        self._form = suffix if known else ""

    def query(self, name: str, default: str) -> str:
        return parse_qs(self._query, keep_blank_values=True).get(name, [default])[0]

    def answer(self, binary: Callable[[], bytes] | None, json: Callable[[], Any]) -> Answer:
        """Return the content in the form asked for; without `binary` there is only JSON."""
        if self._form == "json":
            body = orjson.dumps(json(), option=orjson.OPT_APPEND_NEWLINE)
        elif binary is None:
            raise _RefusedError(404, "output format not found (available: json)")
        elif self._form == "bin":
            body = binary()
        elif self._form == "hex":
            body = binary().hex().encode() + b"\n"
        else:
            raise _RefusedError(404, "output format not found (available: .bin, .hex, .json)")
        return Answer(200, _FORMS[self._form], body)


def _hash(text: str) -> bytes:
    if not _HASH.fullmatch(text):
        raise _RefusedError(400, f"Invalid hash: {text}")
    return bytes.fromhex(text)[::-1]


def _entry(view: View, text: str) -> Entry:
    entry = view.entry(_hash(text))
    if entry is None:
        raise _RefusedError(404, f"{text} not found")
    return entry


def _chaininfo(node: Node, request: _Request) -> Answer:
    return request.answer(None, lambda: getblockchaininfo(node))


def _blockhash_by_height(node: Node, request: _Request) -> Answer:
    text = request.parameter
    if not _NUMBER.fullmatch(text) or not 0 <= int(text[:12]) < 1 << 31:
        raise _RefusedError(400, f"Invalid height: {_UNSAFE.sub('', text)}")
    with node.store.reader() as view:
        found = view.active_hash(int(text))
    if found is None:
        raise _RefusedError(404, "Block height out of range")
    answer = request.answer(lambda: found, lambda: {"blockhash": displayed(found)})
    # Alone among the hexadecimal forms this one is of the hash as it is shown, not of the bytes.
    return Answer(200, answer.type, f"{displayed(found)}\n".encode()) if answer.type == _FORMS["hex"] else answer


def _headers(node: Node, request: _Request) -> Answer:
    match request.parameter.split("/"):
        case [count, text]:
            pass
        case [text]:
            count = request.query("count", "5")
        case _:
            raise _RefusedError(400, "Invalid URI format. Expected /rest/headers/<hash>.<ext>?count=<count>")
    if not count.isascii() or not count.isdigit() or not 1 <= int(count[:12]) <= MAX_HEADERS:
        raise _RefusedError(400, f"Header count is invalid or out of acceptable range (1-{MAX_HEADERS}): {count}")
    wanted = _hash(text)
    entries: list[Entry] = []
    with node.store.reader() as view:
        entry = view.entry(wanted)
        following: bytes | None = wanted
        while entry is not None and view.active_hash(entry.height) == entry.hash and len(entries) < int(count):
            entries.append(entry)
            following = view.active_hash(entry.height + 1)
            entry = view.entry(following) if following else None
        return request.answer(
            lambda: b"".join(entry.header.raw for entry in entries),
            lambda: [header_json(view, entry) for entry in entries],
        )


def _block(node: Node, request: _Request, verbosity: int = 3) -> Answer:
    with node.store.reader() as view:
        entry = _entry(view, request.parameter)
        raw = view.raw_block(entry.hash)
        if raw is None:
            raise _RefusedError(404, f"{request.parameter} not found")
        return request.answer(lambda: raw, lambda: block_json(view, entry, decode_block(raw), verbosity))


def _block_without_details(node: Node, request: _Request) -> Answer:
    return _block(node, request, verbosity=1)


def _spent_outputs(node: Node, request: _Request) -> Answer:
    text = request.parameter
    if "/" in text:
        raise _RefusedError(400, "Invalid URI format. Expected /rest/spenttxouts/<hash>.<ext>")
    with node.store.reader() as view:
        spent = view.undo_data(_entry(view, text).hash)
    if spent is None:
        raise _RefusedError(404, f"{text} undo not available")
    return request.answer(lambda: undo.outputs(spent), lambda: _spent_json(spent))


def _spent_json(spent: bytes) -> list[list[Json]]:
    return [
        [{"value": amount(coin.value), "scriptPubKey": describe(coin.script)} for coin in coins]
        for coins in [[], *undo.decode(spent)]
    ]


def _transaction(node: Node, request: _Request) -> Answer:
    txid = _hash(request.parameter)
    with node.lock:
        waiting = node.mempool.get(txid)
    found: tuple[bytes, bytes | None] | None = (waiting.tx.raw, None) if waiting else None
    if found is None and node.transaction_index and txid != GENESIS_COINBASE:
        with node.store.reader() as view:
            found = view.find_transaction(txid)
    if found is None:
        raise _RefusedError(404, f"{request.parameter} not found")
    raw, block_hash = found
    return request.answer(lambda: raw, lambda: _transaction_json(raw, block_hash))


def _transaction_json(raw: bytes, block_hash: bytes | None) -> Json:
    shown = transaction_json(decode_transaction(raw))
    bytes_ = {"hex": shown.pop("hex")}
    return shown | ({"blockhash": displayed(block_hash)} if block_hash else {}) | bytes_


# Core's own table: the first prefix that fits is taken.
_HANDLERS: tuple[tuple[str, Callable[[Node, _Request], Answer]], ...] = (
    ("/rest/tx/", _transaction),
    ("/rest/block/notxdetails/", _block_without_details),
    ("/rest/block/", _block),
    ("/rest/chaininfo", _chaininfo),
    ("/rest/headers/", _headers),
    ("/rest/blockhashbyheight/", _blockhash_by_height),
    ("/rest/spenttxouts/", _spent_outputs),
)
