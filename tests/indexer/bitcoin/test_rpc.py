"""A node that misbehaves is a node to wait for: whatever it answers, a NodeError says what is wrong."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from indexer.bitcoin.block import BlockDecodeError, OutPoint
from indexer.bitcoin.rpc import AnswerTooLargeError, NodeUnauthorizedError, NodeUnavailableError, RpcClient, RpcError
from indexer.bitcoin.source import BATCH_TRANSACTIONS, RpcBlockSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HASH = "00" * 31 + "01"


class _Fake(BaseHTTPRequestHandler):
    """Answers every call with what the test put there, and keeps what it was sent."""

    answer: ClassVar[bytes] = b""
    status: ClassVar[int] = 200
    seen: ClassVar[list[tuple[str | None, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.headers.get("Authorization"), body))
        answer = self.answer or self.batch(body)
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def batch(self, body: bytes) -> bytes:
        transaction = "02000000" + "01" + "00" * 36 + "00" + "ffffffff" + "01" + "00" * 8 + "0151" + "00000000"
        return json.dumps(
            [{"result": transaction, "error": None, "id": call["id"]} for call in json.loads(body)]
        ).encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def node() -> Iterator[str]:
    _Fake.answer, _Fake.status, _Fake.seen = b"", 200, []
    with HTTPServer(("127.0.0.1", 0), _Fake) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hunter2"
        server.shutdown()
        thread.join()


@pytest.fixture
def client(node: str) -> Iterator[RpcClient]:
    client = RpcClient(node, user="me", password="hunter2", timeout=5)
    yield client
    client.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>not a node</html>",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"result": null, "error": null, "id": 0}',
        b'{"result": {"chain": 7}, "error": null, "id": 0}',
        b'{"result": {"chain": "main", "blocks": 1, "bestblockhash": "zz"}, "error": null, "id": 0}',
        b'{"result": {"chain": "main", "blocks": 1, "bestblockhash": "00"}, "error": null, "id": 0}',
        b'{"result": null, "error": {"code": -28, "message": "Verifying blocks"}, "id": 0}',
    ],
)
def test_a_malformed_answer_makes_the_block_wait_and_shows_no_secret(client: RpcClient, answer: bytes) -> None:
    _Fake.answer = answer
    with pytest.raises(NodeUnavailableError) as caught:
        RpcBlockSource(client).tip()
    assert "hunter2" not in str(caught.value)


def test_a_block_that_is_no_hexadecimal_is_a_corrupt_one(client: RpcClient) -> None:
    _Fake.answer = b'{"result": "zz", "error": null, "id": 0}'
    with pytest.raises(BlockDecodeError, match="not hexadecimal"):
        RpcBlockSource(client).raw_block(bytes(32))


def test_an_error_of_the_nodes_own_keeps_its_code(client: RpcClient) -> None:
    _Fake.status, _Fake.answer = 500, b'{"result": null, "error": {"code": -8, "message": "out of range"}, "id": 0}'
    with pytest.raises(RpcError, match="getblockhash with error -8: out of range") as caught:
        client.call("getblockhash", 7, type=str)
    assert caught.value.code == -8


def test_a_batch_that_is_not_answered_whole_is_no_answer(client: RpcClient) -> None:
    _Fake.answer = b'[{"result": "00", "error": null, "id": 0}]'
    with pytest.raises(NodeUnavailableError, match="incompletely"):
        client.batch("getrawtransaction", [("a",), ("b",)], type=str)
    assert client.batch("getrawtransaction", [], type=str) == []


def test_thousands_of_senders_are_asked_in_bounded_batches(client: RpcClient) -> None:
    outpoints = [OutPoint(number.to_bytes(32, "little"), 0) for number in range(BATCH_TRANSACTIONS + 1)]
    found = RpcBlockSource(client).scripts(dict.fromkeys(outpoints, (1, 0)), bytes(32))
    assert found == dict.fromkeys(outpoints, b"\x51")
    assert [len(json.loads(body)) for _, body in _Fake.seen] == [BATCH_TRANSACTIONS, 1]


def test_a_spent_output_that_its_transaction_does_not_have_is_a_corrupt_answer(client: RpcClient) -> None:
    with pytest.raises(BlockDecodeError, match="fewer outputs"):
        RpcBlockSource(client).scripts({OutPoint(bytes(32), 1): (1, 0)}, bytes(32))


def test_refused_credentials_are_said_without_them(client: RpcClient) -> None:
    _Fake.status, _Fake.answer = 401, b" "
    with pytest.raises(NodeUnauthorizedError) as caught:
        RpcBlockSource(client).tip()
    assert "hunter2" not in str(caught.value)


def test_credentials_go_to_the_node_and_to_no_proxy(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", node)
    monkeypatch.setenv("ALL_PROXY", node)
    client = RpcClient("http://127.0.0.1:1", user="me", password="hunter2", timeout=1)
    with pytest.raises(NodeUnavailableError, match="start it or correct BITCOIN_RPC_URL"):
        RpcBlockSource(client).tip()
    client.close()
    assert _Fake.seen == []


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"\xff\xfe", "it is no text")])
def test_a_cookie_that_cannot_be_read_is_waited_for(
    node: str, tmp_path: Path, content: bytes | None, said: str
) -> None:
    cookie = tmp_path / ".cookie"
    if content is not None:
        cookie.write_bytes(content)
    client = RpcClient(node, cookie_file=cookie)
    with pytest.raises(NodeUnavailableError, match=f"cannot be read .{said}"):
        RpcBlockSource(client).tip()
    client.close()


def test_a_new_cookie_is_used_at_once(node: str, tmp_path: Path) -> None:
    _Fake.answer = b'{"result": "' + HASH.encode() + b'", "error": null, "id": 0}'
    cookie = tmp_path / ".cookie"
    client = RpcClient(node, cookie_file=cookie)
    for secret in ("first", "second"):
        cookie.write_text(f"__cookie__:{secret}")
        assert client.call("getbestblockhash", type=str) == HASH
    client.close()
    assert len({authorization for authorization, _ in _Fake.seen}) == 2


def test_a_node_without_a_password_is_asked_without_one(node: str) -> None:
    _Fake.answer = b'{"result": "' + HASH.encode() + b'", "error": null, "id": 0}'
    client = RpcClient(node)
    client.call("getbestblockhash", type=str)
    client.close()
    assert _Fake.seen[0][0] is None


def test_senders_whose_transactions_are_too_large_for_an_answer_come_from_the_blocks_undo_data(
    client: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The scenario: someone spends outputs of hundreds of transactions of 400 kB; sync must not stop for ever.
    asked = []

    def batch(method: str, *_: object, **__: object) -> list[bytes]:
        asked.append(method)
        raise AnswerTooLargeError("answered with more than was asked for")

    undo = b'{"result": {"tx": [{"vin": [{"txid": "' + b"00" * 32 + b'", "vout": 0, "prevout": '
    _Fake.answer = undo + b'{"scriptPubKey": {"hex": "51"}}}]}]}, "error": null, "id": 0}'
    monkeypatch.setattr(client, "batch", batch)
    assert RpcBlockSource(client).scripts({OutPoint(bytes(32), 0): (0, 0)}, bytes(32)) == {OutPoint(bytes(32), 0): b"Q"}
    assert asked == ["getrawtransaction"]
