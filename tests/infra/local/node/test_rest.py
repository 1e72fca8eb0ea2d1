"""The node's REST against what Bitcoin Core 30's rest.cpp answers: forms byte for byte, statuses, texts."""

from __future__ import annotations

import http.client
import json
import struct
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from infra.local.node.rest import Rest
from infra.local.node.rpc import Dispatcher
from tests.infra.local.node.harness import (
    DEADLINE,
    OPEN_ADDRESS,
    OPEN_SCRIPT,
    NodeProcess,
    transaction,
    txid_of,
    wire,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.local.node.node import Node

GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
GENESIS_COINBASE = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
NOWHERE = "00" * 32
BINARY, TEXT, JSON = "application/octet-stream", "text/plain", "application/json"
FORMATS = b"output format not found (available: .bin, .hex, .json)\r\n"


class Answer(NamedTuple):
    status: int
    type: str | None
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - the path's own result
        assert self.type == JSON
        assert self.body.endswith(b"\n")
        return json.loads(self.body, parse_float=Decimal)


def ask(node: NodeProcess, path: str, method: str = "GET", body: bytes | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=DEADLINE)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return Answer(response.status, response.getheader("Content-Type"), response.read())
    finally:
        connection.close()


def refused(status: int, text: str) -> Answer:
    return Answer(status, TEXT, f"{text}\r\n".encode())


class Spending(NamedTuple):
    """A block whose second transaction spends one coin and whose third spends two outputs of that."""

    hash: str
    raw: bytes
    txs: tuple[bytes, bytes]
    value: int


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    found = NodeProcess(tmp_path_factory.mktemp("rest") / "data", ("--rest",))
    try:
        found.start().rpc("generatetoaddress", 110, OPEN_ADDRESS)
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def spending(node: NodeProcess) -> Spending:
    txid, value = node.coin(1)
    long = b"\x51" * 300  # a script whose length takes three bytes
    first = transaction([(txid, 0)], [(1000, OPEN_SCRIPT), (2000, OPEN_SCRIPT), (3000, long)])
    second = transaction([(txid_of(first), 0), (txid_of(first), 1)], [(500, OPEN_SCRIPT)])
    raw = node.block_on_tip([first, second])
    assert node.rpc("submitblock", raw.hex()) is None
    return Spending(node.rpc("getbestblockhash"), raw, (first, second), value)


def test_a_block_is_served_in_each_form(node: NodeProcess, spending: Spending) -> None:
    path = f"/rest/block/{spending.hash}"
    assert ask(node, f"{path}.bin") == Answer(200, BINARY, spending.raw)
    assert ask(node, f"{path}.hex") == Answer(200, TEXT, spending.raw.hex().encode() + b"\n")
    assert ask(node, f"{path}.json").json() == node.rpc("getblock", spending.hash, 3)
    assert ask(node, f"/rest/block/notxdetails/{spending.hash}.json").json() == node.rpc("getblock", spending.hash, 1)
    assert ask(node, f"/rest/block/notxdetails/{spending.hash}.bin").body == spending.raw
    assert ask(node, f"{path.upper().replace('/REST/BLOCK', '/rest/block')}.bin").body == spending.raw


def test_spent_outputs_are_a_list_for_each_transaction_the_coinbases_empty(
    node: NodeProcess, spending: Spending
) -> None:
    def output(value: int) -> bytes:
        return struct.pack("<q", value) + b"\x22" + OPEN_SCRIPT

    expected = b"\x03" + b"\x00" + b"\x01" + output(spending.value) + b"\x02" + output(1000) + output(2000)
    path = f"/rest/spenttxouts/{spending.hash}"
    assert ask(node, f"{path}.bin") == Answer(200, BINARY, expected)
    assert ask(node, f"{path}.hex") == Answer(200, TEXT, expected.hex().encode() + b"\n")
    found = ask(node, f"{path}.json").json()
    assert [[entry["value"] * 100_000_000 for entry in each] for each in found] == [[], [spending.value], [1000, 2000]]
    shown = node.rpc("getblock", spending.hash, 3)["tx"][2]["vin"]
    assert [entry["scriptPubKey"] for entry in found[2]] == [item["prevout"]["scriptPubKey"] for item in shown]


def test_a_long_spent_script_is_written_with_a_long_length(node: NodeProcess, spending: Spending) -> None:
    tx = transaction([(txid_of(spending.txs[0]), 2)], [(100, OPEN_SCRIPT)], witness=())
    tx = tx[:4] + tx[6:-5] + tx[-4:]  # in the form without witnesses
    raw = node.block_on_tip([tx])
    assert node.rpc("submitblock", raw.hex()) is None
    answer = ask(node, f"/rest/spenttxouts/{node.rpc('getbestblockhash')}.bin")
    assert answer.body == b"\x02\x00\x01" + struct.pack("<q", 3000) + b"\xfd\x2c\x01" + b"\x51" * 300


def test_the_genesis_block_spent_nothing(node: NodeProcess) -> None:
    assert ask(node, f"/rest/spenttxouts/{GENESIS}.bin") == Answer(200, BINARY, b"\x01\x00")
    assert ask(node, f"/rest/spenttxouts/{GENESIS}.json") == Answer(200, JSON, b"[[]]\n")


def test_a_block_that_was_never_active_has_no_spent_outputs(node: NodeProcess) -> None:
    beside = node.block_on_tip()
    assert node.rpc("submitblock", node.block_on_tip(extra=b"first").hex()) is None
    assert node.rpc("submitblock", beside.hex()) == "inconclusive"
    tips = {tip["status"]: tip["hash"] for tip in node.rpc("getchaintips")}
    stale = tips["valid-headers"]
    assert ask(node, f"/rest/spenttxouts/{stale}.bin") == refused(404, f"{stale} undo not available")
    assert ask(node, f"/rest/block/{stale}.bin") == Answer(200, BINARY, beside)
    assert ask(node, f"/rest/headers/{stale}.bin") == Answer(200, BINARY, b"")


def test_a_hash_by_height_is_bytes_or_as_shown(node: NodeProcess) -> None:
    shown = node.rpc("getblockhash", 7)
    path = "/rest/blockhashbyheight/7"
    assert ask(node, f"{path}.bin") == Answer(200, BINARY, wire(shown))
    assert ask(node, f"{path}.hex") == Answer(200, TEXT, f"{shown}\n".encode())
    assert ask(node, f"{path}.json") == Answer(200, JSON, f'{{"blockhash":"{shown}"}}\n'.encode())


def test_headers_go_upwards_and_end_at_the_tip(node: NodeProcess) -> None:
    hashes = [node.rpc("getblockhash", height) for height in range(10, 17)]
    raw = [node.rpc("getblockheader", shown, False) for shown in hashes]
    path = f"/rest/headers/{hashes[0]}"
    assert ask(node, f"{path}.bin?count=7") == Answer(200, BINARY, bytes.fromhex("".join(raw)))
    assert ask(node, f"/rest/headers/7/{hashes[0]}.bin").body == bytes.fromhex("".join(raw))
    assert ask(node, f"{path}.hex") == Answer(200, TEXT, "".join(raw[:5]).encode() + b"\n")
    assert ask(node, f"{path}.json?other=1&count=2").json() == [node.rpc("getblockheader", hashes[n]) for n in (0, 1)]
    height = node.rpc("getblockcount")
    assert len(ask(node, f"{path}.bin?count=2000").body) == 80 * (height - 10 + 1)
    assert ask(node, f"/rest/headers/{NOWHERE}.bin") == Answer(200, BINARY, b"")
    assert ask(node, f"/rest/headers/{NOWHERE}.json") == Answer(200, JSON, b"[]\n")


def test_a_transaction_is_found_by_the_index_and_in_the_mempool(node: NodeProcess, spending: Spending) -> None:
    txid = txid_of(spending.txs[1])
    assert ask(node, f"/rest/tx/{txid}.bin") == Answer(200, BINARY, spending.txs[1])
    assert ask(node, f"/rest/tx/{txid}.hex") == Answer(200, TEXT, spending.txs[1].hex().encode() + b"\n")
    found = ask(node, f"/rest/tx/{txid}.json").json()
    assert list(found)[-2:] == ["blockhash", "hex"]
    assert found == node.rpc("decoderawtransaction", spending.txs[1].hex()) | {
        "blockhash": spending.hash,
        "hex": spending.txs[1].hex(),
    }
    coin, value = node.coin(2)
    waiting = transaction([(coin, 0)], [(value - 1000, OPEN_SCRIPT)])
    node.rpc("sendrawtransaction", waiting.hex())
    assert ask(node, f"/rest/tx/{txid_of(waiting)}.bin").body == waiting
    assert "blockhash" not in ask(node, f"/rest/tx/{txid_of(waiting)}.json").json()
    assert ask(node, f"/rest/tx/{GENESIS_COINBASE}.bin") == refused(404, f"{GENESIS_COINBASE} not found")


def test_chaininfo_is_getblockchaininfo(node: NodeProcess) -> None:
    assert ask(node, "/rest/chaininfo.json").json() == node.rpc("getblockchaininfo")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("block/zz.bin", 400, "Invalid hash: zz"),
        (f"block/{NOWHERE}x.bin", 400, f"Invalid hash: {NOWHERE}x"),
        (f"block/{NOWHERE}.bin", 404, f"{NOWHERE} not found"),
        (f"block/{GENESIS}.xml", 400, f"Invalid hash: {GENESIS}.xml"),
        (f"block/{GENESIS}.BIN", 400, f"Invalid hash: {GENESIS}.BIN"),
        ("block/.bin", 400, "Invalid hash: "),
        ("block/", 400, "Invalid hash: "),
        ("spenttxouts/zz.bin", 400, "Invalid hash: zz"),
        (f"spenttxouts/{NOWHERE}.bin", 404, f"{NOWHERE} not found"),
        (f"spenttxouts/1/{GENESIS}.bin", 400, "Invalid URI format. Expected /rest/spenttxouts/<hash>.<ext>"),
        ("tx/zz.bin", 400, "Invalid hash: zz"),
        (f"tx/{NOWHERE}.json", 404, f"{NOWHERE} not found"),
        ("blockhashbyheight/1000000.bin", 404, "Block height out of range"),
        ("blockhashbyheight/2147483648.bin", 400, "Invalid height: 2147483648"),
        (f"blockhashbyheight/{'9' * 40}.bin", 400, f"Invalid height: {'9' * 40}"),
        ("blockhashbyheight/-1.bin", 400, "Invalid height: -1"),
        ("blockhashbyheight/+1.bin", 400, "Invalid height: +1"),
        ('blockhashbyheight/"<1>.bin', 400, "Invalid height: 1"),
        ("blockhashbyheight/.bin", 400, "Invalid height: "),
        ("headers/zz.bin", 400, "Invalid hash: zz"),
        (
            f"headers/0/{GENESIS}.bin",
            400,
            "Header count is invalid or out of acceptable range (1-2000): 0",
        ),
        (
            f"headers/{GENESIS}.bin?count=2001",
            400,
            "Header count is invalid or out of acceptable range (1-2000): 2001",
        ),
        (
            f"headers/{GENESIS}.bin?count=-1",
            400,
            "Header count is invalid or out of acceptable range (1-2000): -1",
        ),
        (f"headers/{GENESIS}.bin?count=", 400, "Header count is invalid or out of acceptable range (1-2000): "),
        (
            f"headers/1/2/{GENESIS}.bin",
            400,
            "Invalid URI format. Expected /rest/headers/<hash>.<ext>?count=<count>",
        ),
        ("chaininfo.bin", 404, "output format not found (available: json)"),
        ("chaininfo", 404, "output format not found (available: json)"),
    ],
)
def test_a_path_that_asks_for_nothing_there_is_gets_cores_status_and_text(
    node: NodeProcess, path: str, status: int, text: str
) -> None:
    assert ask(node, f"/rest/{path}") == refused(status, text)


@pytest.mark.parametrize(
    "path", ["block/{}", "block/{}.", "spenttxouts/{}", "headers/{}", "headers/1/{}.", "tx/{tx}", "blockhashbyheight/1"]
)
def test_without_a_form_the_forms_are_listed(node: NodeProcess, spending: Spending, path: str) -> None:
    asked = path.format(spending.hash, tx=txid_of(spending.txs[0]))
    assert ask(node, f"/rest/{asked}") == Answer(404, TEXT, FORMATS)


@pytest.mark.parametrize("path", ["/rest", "/rest/", "/rest/nothing.json", "/rest/blocks/1.bin", "/else"])
def test_a_path_that_nobody_serves_is_not_found_without_a_word(node: NodeProcess, path: str) -> None:
    for method in ("GET", "POST"):
        assert ask(node, path, method, b"" if method == "POST" else None) == Answer(404, None, b"")


def test_methods_are_cores(node: NodeProcess) -> None:
    info = ask(node, "/rest/chaininfo.json")
    assert ask(node, "/rest/chaininfo.json", "POST", b"{}") == ask(node, "/rest/chaininfo.json", "PUT", b"{}") == info
    assert ask(node, "/rest/chaininfo.json", "HEAD") == Answer(200, JSON, b"")
    assert ask(node, "/rest/chaininfo.json", "DELETE").status == 405
    assert ask(node, "/") == Answer(405, None, b"JSONRPC server handles only POST requests")


def test_rest_and_json_rpc_share_a_connection(node: NodeProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=DEADLINE)
    for _ in range(2):
        connection.request("GET", "/rest/blockhashbyheight/0.hex")
        assert connection.getresponse().read() == f"{GENESIS}\n".encode()
        connection.request("GET", "/rest/nothing")
        assert connection.getresponse().read() == b""
        connection.request("POST", "/", b"{}")
        assert connection.getresponse().read() == b""
    connection.close()


def test_without_the_option_there_is_no_rest(start_node: Callable[..., NodeProcess]) -> None:
    bare = start_node()
    assert ask(bare, "/rest/chaininfo.json") == Answer(404, None, b"")
    assert ask(bare, f"/rest/block/{GENESIS}.bin") == Answer(404, None, b"")


def test_without_the_index_only_the_mempool_is_searched(start_node: Callable[..., NodeProcess]) -> None:
    bare = start_node("--no-txindex", "--rest")
    bare.rpc("generatetoaddress", 1, OPEN_ADDRESS)
    txid, _ = bare.coin(1)
    assert ask(bare, f"/rest/tx/{txid}.bin") == refused(404, f"{txid} not found")
    assert ask(bare, f"/rest/spenttxouts/{bare.rpc('getbestblockhash')}.bin").body == b"\x01\x00"


def test_while_the_chain_is_loaded_the_service_is_unavailable() -> None:
    answer = Rest(Dispatcher({}, lambda *_: None), lambda *_: None).answer("/rest/chaininfo.json")
    assert answer is not None
    text = "Service temporarily unavailable: Loading block index\u2026\r\n"
    assert (answer.status, answer.type, answer.body) == (503, TEXT, text.encode())


def test_a_failure_inside_is_logged_and_answered() -> None:
    logged: list[tuple[str, Exception]] = []
    dispatcher = Dispatcher({}, lambda *_: None)
    dispatcher.node = cast("Node", object())
    answer = Rest(dispatcher, lambda *entry: logged.append(entry)).answer("/rest/chaininfo.json")
    assert answer is not None
    assert (answer.status, answer.body) == (500, b"AttributeError in /rest/chaininfo: see the node's log\r\n")
    assert [(what, type(error)) for what, error in logged] == [("/rest/chaininfo", AttributeError)]
