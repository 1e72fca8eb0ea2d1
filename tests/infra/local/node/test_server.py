from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from infra.local.node.server import MAX_CONNECTIONS
from tests.infra.local.node.harness import OPEN_ADDRESS, SIMPLICITY, NodeProcess, RpcFailureError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"


def ask(node: NodeProcess, request: object) -> tuple[int, Any]:
    status, body = node.post(json.dumps(request).encode())
    return status, json.loads(body) if body else None


def raw_exchange(node: NodeProcess, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def test_the_cookie_is_for_its_owner_only_and_opens_the_node(shared: NodeProcess) -> None:
    assert stat.S_IMODE((shared.directory / ".cookie").stat().st_mode) == 0o600
    assert shared.cookie.startswith("__cookie__:")
    assert shared.rpc("getblockcount") >= 110


@pytest.mark.parametrize("login", ["", "__cookie__:wrong", "nobody:", ":", "\u00fc:\u00fc"])
def test_a_wrong_login_gets_401_and_an_empty_body(shared: NodeProcess, login: str) -> None:
    assert shared.post(b'{"method":"getblockcount"}', login) == (401, b"")


def test_user_and_password_open_the_node_and_the_password_is_in_no_argument(
    start_node: Callable[..., NodeProcess],
) -> None:
    node = start_node("--rpc-user", "alice", BITCOIN_RPC_PASSWORD="s3cret:colon")
    assert node.post(b'{"method":"getblockcount"}', "alice:s3cret:colon")[0] == 200
    assert node.post(b'{"method":"getblockcount"}', "alice:wrong")[0] == 401
    assert node.post(b'{"method":"getblockcount"}')[0] == 200
    assert node.process is not None
    with open(f"/proc/{node.process.pid}/cmdline", "rb") as arguments:  # noqa: PTH123 - a file of the kernel's
        assert b"s3cret" not in arguments.read()
    assert "s3cret" not in node.log_path.read_text()


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"method": "nope"}, 404, -32601),
        ({}, 400, -32600),
        ({"method": 5}, 400, -32600),
        ({"method": "getblockcount", "params": "x"}, 400, -32600),
        ({"method": "getblockcount", "params": [1]}, 500, -1),
        ({"method": "getblockhash"}, 500, -1),
        ({"method": "getblockhash", "params": ["1"]}, 500, -3),
        ({"method": "getblockhash", "params": [True]}, 500, -3),
        ({"method": "getblockhash", "params": [-1]}, 500, -8),
        ({"method": "getblockhash", "params": [10**12]}, 500, -8),
        ({"method": "getblockhash", "params": [10**30]}, 500, -3),
        ({"method": "getblockhash", "params": {"heigth": 1}}, 500, -8),
        ({"method": "getblock", "params": ["ab"]}, 500, -8),
        ({"method": "getblock", "params": ["z" * 64]}, 500, -8),
        ({"method": "getblock", "params": ["0" * 64]}, 500, -5),
        ({"method": "getblockheader", "params": ["0" * 64]}, 500, -5),
        ({"method": "getrawtransaction", "params": ["0" * 64]}, 500, -5),
        ({"method": "getrawtransaction", "params": ["0" * 64, 1, "0" * 64]}, 500, -5),
        ({"method": "sendrawtransaction", "params": ["00"]}, 500, -22),
        ({"method": "sendrawtransaction", "params": ["zz"]}, 500, -22),
        ({"method": "submitblock", "params": ["00"]}, 500, -22),
        ({"method": "generatetoaddress", "params": [1, "nowhere"]}, 500, -5),
        ({"method": "reorg", "params": [0]}, 500, -8),
        ({"jsonrpc": "3.0", "method": "getblockcount"}, 400, -32600),
        ({"jsonrpc": 2, "method": "getblockcount"}, 400, -32600),
        ({"method": "getblockhash", "params": {"args": [1], "height": 1}}, 500, -8),
        ({"method": "getblockhash", "params": {"args": 1}}, 500, -8),
        ({"method": "getrawtransaction", "params": ["11" * 32, 1, GENESIS]}, 500, -5),
        ({"method": "decoderawtransaction", "params": ["zz"]}, 500, -22),
        ({"method": "submitblock", "params": ["zz"]}, 500, -22),
        ({"method": "generatetoaddress", "params": [10**6, "raw(51)"]}, 500, -8),
        ({"method": "generateblock", "params": ["nowhere", []]}, 500, -5),
    ],
)
def test_errors_carry_bitcoinds_codes_and_statuses(shared: NodeProcess, request_: Any, status: int, code: int) -> None:  # noqa: ANN401
    assert ask(shared, {**request_, "id": "x"})[0] == status
    reply = ask(shared, {**request_, "id": "x"})[1]
    assert (reply["error"]["code"], reply["result"]) == (code, None)


def test_version_1_answers_with_both_fields_and_version_2_with_one(shared: NodeProcess) -> None:
    one = ask(shared, {"method": "getblockhash", "params": [0], "id": 7})
    assert (one[0], sorted(one[1]), one[1]["error"], one[1]["id"]) == (200, ["error", "id", "result"], None, 7)
    two = ask(shared, {"jsonrpc": "2.0", "method": "getblockhash", "params": {"height": 0}, "id": "a"})
    assert two == (200, {"jsonrpc": "2.0", "result": one[1]["result"], "id": "a"})
    failed = ask(shared, {"jsonrpc": "2.0", "method": "nope", "id": None})
    assert failed == (200, {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": None})
    assert ask(shared, {"jsonrpc": "2.0", "method": "getblockcount"}) == (204, None)


def test_a_batch_is_answered_in_order_whatever_is_in_it(shared: NodeProcess) -> None:
    batch = [
        {"method": "getblockhash", "params": [1], "id": 1},
        {"method": "nope", "id": 2},
        {"jsonrpc": "2.0", "method": "getblockcount"},
        17,
        {"jsonrpc": "2.0", "method": "getblockhash", "params": [1], "id": 3},
    ]
    status, replies = ask(shared, batch)
    assert (status, [reply["id"] for reply in replies]) == (200, [1, 2, None, 3])
    assert replies[0]["result"] == replies[3]["result"]
    assert [replies[1]["error"]["code"], replies[2]["error"]["code"]] == [-32601, -32600]
    assert ask(shared, []) == (200, [])
    assert ask(shared, [{"jsonrpc": "2.0", "method": "getblockcount"}]) == (204, None)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"text"', b"1", b"null", b'{"method":"\\ud800"}']
)
def test_a_body_that_is_no_request_gets_the_parse_error(shared: NodeProcess, body: bytes) -> None:
    status, reply = shared.post(body)
    assert (status, json.loads(reply)["error"]["code"]) == (500, -32700)
    assert shared.rpc("getblockcount") >= 110


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
        (b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"411"),
        (b"\x00\x01\x02garbage\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nshort", b""),
    ],
)
def test_hostile_requests_are_refused_and_the_node_lives_on(shared: NodeProcess, sent: bytes, status: bytes) -> None:
    assert status in raw_exchange(shared, sent).split(b"\r\n", 1)[0]
    assert shared.rpc("getblockcount") >= 110


def test_help_lists_every_method_and_says_that_reorg_is_ours(shared: NodeProcess) -> None:
    listed = shared.rpc("help").splitlines()
    assert "getblock blockhash ( verbosity )" in listed
    assert "Not a method of bitcoind" in shared.rpc("help", "reorg")
    assert shared.rpc("help", "nope") == "help: unknown command: nope"


def test_the_node_tells_about_itself(shared: NodeProcess) -> None:
    assert shared.rpc("uptime") >= 0
    assert shared.rpc("getnetworkinfo")["version"] >= 290000
    assert shared.rpc("getindexinfo") == {"txindex": {"synced": True, "best_block_height": shared.rpc("getblockcount")}}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(start_node: Callable[..., NodeProcess], number: int) -> None:
    node = start_node()
    assert node.process is not None
    os.kill(node.process.pid, number)
    assert node.process.wait(10) == 0
    assert not (node.directory / ".cookie").exists()
    assert node.log_lines()[-1]["event"] == "stopped"


def test_the_stop_method_is_answered_and_wakes_those_who_wait(start_node: Callable[..., NodeProcess]) -> None:
    node = start_node()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(node.post, b'{"method":"waitfornewblock"}')
        assert "stopping" in node.rpc("stop")
        assert node.process is not None
        assert node.process.wait(10) == 0
        assert waiting.result(10)[0] in {200, 500}


def test_readers_see_whole_chains_while_blocks_come_and_go(start_node: Callable[..., NodeProcess]) -> None:
    node = start_node()
    node.rpc("generatetoaddress", 30, OPEN_ADDRESS)
    done = threading.Event()

    def read() -> int:
        seen = 0
        while not done.is_set():
            tip = node.rpc("getblock", node.rpc("getbestblockhash"), 3)
            # Between two calls the tip may have gone, but each answer is of one instant.
            assert (tip["confirmations"] >= 1) or tip["confirmations"] == -1
            info = node.rpc("getblockchaininfo")
            assert int(info["chainwork"], 16) == 2 * (info["blocks"] + 1)
            seen += 1
        return seen

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for _ in range(10):
                node.rpc("generatetoaddress", 3, OPEN_ADDRESS)
                node.rpc("reorg", 2)
        finally:
            done.set()
        assert all(reader.result(10) > 0 for reader in readers)


def test_connections_beyond_the_limit_are_closed_and_the_others_served(start_node: Callable[..., NodeProcess]) -> None:
    node = start_node()
    with ExitStack() as stack:
        address = ("127.0.0.1", node.port)
        held = [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(MAX_CONNECTIONS)]
        beyond = stack.enter_context(socket.create_connection(address, timeout=10))
        assert beyond.recv(1) == b""
        held[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"405" in held[0].recv(100)
    assert wait_until_served(node) == 200


def wait_until_served(node: NodeProcess) -> int:
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        with suppress(OSError, http.client.HTTPException):
            return node.post(b'{"method":"getblockcount"}')[0]
    raise TimeoutError("the node serves nobody")


def run_to_its_end(*options: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [*SIMPLICITY, "node", *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | environment,
    )
    return done.returncode, done.stderr


def test_a_second_node_on_the_same_directory_is_refused_in_one_line(shared: NodeProcess) -> None:
    cookie = shared.cookie
    code, said = run_to_its_end("--data-dir", str(shared.directory), "--port", "0")
    assert (code, said.count("\n")) == (2, 1)
    assert "another node runs on" in said
    assert shared.cookie == cookie
    assert shared.rpc("getblockcount") >= 110


def test_a_taken_port_is_said_in_one_line(shared: NodeProcess, tmp_path: Path) -> None:
    code, said = run_to_its_end("--data-dir", str(tmp_path / "other"), "--port", str(shared.port))
    assert (code, said.count("\n")) == (2, 1)
    assert "choose another --host or --port" in said
    assert not (tmp_path / "other" / ".cookie").exists()


def test_a_password_without_a_user_is_refused(tmp_path: Path) -> None:
    code, said = run_to_its_end("--data-dir", str(tmp_path / "other"), BITCOIN_RPC_PASSWORD="lonely")
    assert (code, "lonely" in said) == (2, False)


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = run_to_its_end("--data-dir", str(tmp_path / "file"), "--port", "0")
    assert (code, said.count("\n")) == (2, 1)


def test_a_damaged_block_database_is_said_in_one_line(start_node: Callable[..., NodeProcess]) -> None:
    node = start_node()
    node.stop()
    (node.directory / "chain.sqlite").write_bytes(b"no database" * 1000)
    code, said = run_to_its_end("--data-dir", str(node.directory), "--port", "0")
    assert code == 2
    assert "delete the directory" in said.splitlines()[-1]


def test_waiting_for_a_block_ends_with_the_block_or_the_time(shared: NodeProcess) -> None:
    tip = shared.rpc("getbestblockhash")
    began = time.monotonic()
    assert shared.rpc("waitfornewblock", 150)["hash"] == tip
    assert time.monotonic() - began >= 0.15
    with pytest.raises(RpcFailureError, match="Negative timeout"):
        shared.rpc("waitfornewblock", -1)
    new = shared.rpc("generatetoaddress", 1, "raw(51)")[0]
    assert shared.rpc("waitfornewblock", 20_000, tip)["hash"] == new
