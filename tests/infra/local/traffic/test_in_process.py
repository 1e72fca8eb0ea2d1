"""The command in this process, on a real node whose answers can be meddled with: what seldom happens, on demand."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner

from infra.local.node.errors import Code
from infra.local.node.errors import RpcError as Refusal
from infra.local.node.methods_control import table
from infra.local.node.node import Node
from infra.local.node.rpc import Dispatcher
from infra.local.node.server import Credentials, RpcServer, bound_port
from infra.local.node.wire import decode_block
from infra.local.traffic import generator, ledger
from infra.local.traffic.cli import traffic
from infra.local.traffic.ledger import Ledger
from infra.local.traffic.rpc import Endpoint, NodeUnavailableError, Rpc, RpcError
from infra.local.traffic.tx import Output, Spend, build, txid
from infra.local.traffic.wallet import make_wallet
from tests.infra.local.node.harness import OPEN_SCRIPT
from tests.support.canned import canned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typer.testing import Result

    from infra.local.node.rpc import Method

USER, PASSWORD = "someone", "secret"


@dataclass
class Meddled:
    """A node; `instead` of a method of it something else can be called for a test."""

    node: Node
    methods: dict[str, Method]
    url: str

    def instead(self, name: str, call: Callable[..., Any]) -> None:
        self.methods[name] = replace(self.methods[name], call=call)

    def play(self, *options: str) -> Result:
        app = typer.Typer()
        app.command()(traffic)
        settings = {"BITCOIN_RPC_URL": self.url, "BITCOIN_RPC_USER": USER, "BITCOIN_RPC_PASSWORD": PASSWORD}
        return CliRunner().invoke(app, ["--rate", "0", "--ops", "3", *options], env=settings, catch_exceptions=False)

    def events(self, *options: str) -> list[dict[str, Any]]:
        done = self.play("--json", *options)
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    @property
    def height(self) -> int:
        return self.node.store.height()

    def tip(self) -> str:
        return self.node.store.tip().hash[::-1].hex()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meddled]:
    node = Node(tmp_path_factory.mktemp("node"), transaction_index=True, warn=print, stopping=lambda: False)
    methods = table(lambda: None)
    dispatcher = Dispatcher(methods, lambda *_: None)
    dispatcher.node = node
    server = RpcServer(("127.0.0.1", 0), dispatcher, Credentials((f"{USER}:{PASSWORD}".encode(),)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Meddled(node, methods, f"http://127.0.0.1:{bound_port(server)}")
    server.shutdown()
    thread.join()
    server.server_close()
    node.close()


@pytest.fixture
def meddled(running: Meddled) -> Iterator[Meddled]:
    methods, handlers = dict(running.methods), {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    if not running.height:
        assert running.play("--blocks", "1").exit_code == 0
    yield running
    running.methods.update(methods)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_person_reads_what_happens_line_by_line(meddled: Meddled) -> None:
    begin = meddled.height
    done = meddled.play("--blocks", "2", "--reorg-every", "2", "--reorg-depth", "1")
    lines = done.stdout.splitlines()
    assert (done.exit_code, len(lines)) == (0, 3), done.output
    assert lines[0].startswith(f"block {begin + 1}: ")
    assert " transactions: " in lines[0]
    assert lines[2].startswith(f"reorg of 1 blocks: from {begin + 2} on, new tip {meddled.height}")


def test_a_long_chain_is_read_with_a_word_about_the_progress(meddled: Meddled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "_SCAN_REPORT", 50)
    height = meddled.height
    done = meddled.play("--blocks", "1", "--seed", "simplicity")
    assert f"reading the chain: 50 of {height} blocks" in done.stdout


def test_the_first_run_says_what_it_mines_and_a_node_that_is_away_is_waited_for(meddled: Meddled) -> None:
    begin = meddled.height
    answer, errors = meddled.methods["getblockchaininfo"].call, iter([Refusal(Code.IN_WARMUP, "Loading")])

    def starting(node: Node) -> object:
        if error := next(errors, None):
            raise error
        return answer(node)

    meddled.instead("getblockchaininfo", starting)
    done = meddled.play("--blocks", "1", "--seed", "a newcomer")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "waiting: the node is starting: Loading; trying until it answers"
    assert lines[1] == f"mined 100 empty blocks for coins to spend, height {begin + 100}"
    assert lines[2] == "the node is back"


def test_where_somebody_else_mined_first_traffic_goes_on_behind_them(meddled: Meddled) -> None:
    submit, begin = meddled.methods["submitblock"].call, meddled.height
    rivals = iter([OPEN_SCRIPT])

    def outrun(node: Node, *params: object) -> object:
        if script := next(rivals, None):
            node.generate(script)
        return submit(node, *params)

    meddled.instead("submitblock", outrun)
    (block,) = meddled.events("--blocks", "1")
    assert block["height"] == begin + 2 == meddled.height
    assert block["hash"] == meddled.tip()


def test_a_fork_that_other_miners_outrun_is_tried_again(meddled: Meddled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "_EXTRA_FORK_BLOCKS", 2)
    submit = meddled.methods["submitblock"].call
    rivals = iter([OPEN_SCRIPT] * 4)

    def outrun(node: Node, *params: object) -> object:
        if script := next(rivals, None):
            node.generate(script)
        return submit(node, *params)

    meddled.instead("submitblock", outrun)
    events = meddled.events("--reorg", "1")
    assert [event["event"] for event in events] == ["waiting", "reorg", "back"]
    assert "other miners are faster" in events[0]["reason"]
    assert events[1]["hash"] == meddled.tip()


def test_a_strangers_transaction_that_spoils_the_block_is_left_to_others(meddled: Meddled) -> None:
    reader = Ledger(make_wallet("simplicity"))
    for height in range(1, meddled.height + 1):
        raw = meddled.node.store.raw_block(meddled.node.store.active_hash(height) or b"")
        assert raw is not None
        reader.connect(decode_block(raw))
    coin = max(reader.spendable(), key=lambda coin: coin.value)
    foreign = build([Spend(coin)], [Output(coin.value - 5_000, OPEN_SCRIPT)])
    with closing(Rpc(Endpoint(meddled.url, USER, PASSWORD))) as rpc:
        rpc.call("sendrawtransaction", foreign.hex())
    submit = meddled.methods["submitblock"].call

    def picky(node: Node, hexdata: str, *more: object) -> object:
        carried = [tx.txid for tx in decode_block(bytes.fromhex(hexdata)).transactions]
        return "bad-txns" if txid(foreign) in carried else submit(node, hexdata, *more)

    meddled.instead("submitblock", picky)
    (block,) = meddled.events("--blocks", "1")
    assert block["hash"] == meddled.tip()


def test_a_node_that_takes_no_block_of_ours_ends_it_in_one_line(meddled: Meddled) -> None:
    meddled.instead("submitblock", lambda *_: "bad-blk")
    for options in (("--blocks", "1"), ("--reorg", "1")):
        done = meddled.play(*options)
        assert done.exit_code == 1
        assert done.stderr.startswith("simplicity traffic: the node refuses our ")
        assert done.stderr.endswith(": bad-blk\n")


def test_a_node_that_lacks_a_call_ends_it_in_one_line(meddled: Meddled) -> None:
    # As bitcoind does with a method that an option has switched off.
    del meddled.methods["getrawmempool"]
    done = meddled.play("--blocks", "1")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "the node lacks a call that traffic needs" in done.stderr


def test_a_reorg_deeper_than_what_is_remembered_is_followed_all_the_same(
    meddled: Meddled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "KEPT_BLOCKS", 3)
    submit, begin = meddled.methods["submitblock"].call, meddled.height
    done: list[object] = []

    def reorganised(node: Node, *params: object) -> object:
        answer = submit(node, *params)
        done.append(answer)
        if len(done) == 3:
            meddled.methods["reorg"].call(node, 6)
        return answer

    meddled.instead("submitblock", reorganised)
    blocks = meddled.events("--blocks", "4")
    assert [block["event"] for block in blocks] == ["block"] * 4
    # The reorg replaced six blocks by seven: ours goes on top of those.
    assert blocks[-1]["height"] == begin + 5 == meddled.height
    assert blocks[-1]["hash"] == meddled.tip()


@pytest.mark.parametrize("answer", ["", "<html>", [], "[]", None, 7, {"error": "no"}, {"error": 7}])
def test_an_answer_that_is_no_json_rpc_is_worth_another_try(answer: object) -> None:
    with canned({"/": (200, answer)}) as server, closing(Rpc(Endpoint(f"{server.url}/"))) as rpc:
        with pytest.raises(NodeUnavailableError):
            rpc.call("getblockcount")
        with pytest.raises(NodeUnavailableError):
            rpc.batch("getblockhash", [(1,), (2,)])


@pytest.mark.parametrize("answer", [[1, 2], [{"id": 0}, {}], [{"id": 0}, {"id": "x"}], [{"id": 0}]])
def test_a_batch_whose_answers_cannot_be_told_apart_is_worth_another_try(answer: object) -> None:
    with canned({"/": (200, answer)}) as server, closing(Rpc(Endpoint(f"{server.url}/"))) as rpc:
        for ask in (rpc.batch, rpc.try_batch):
            with pytest.raises(NodeUnavailableError, match="batch"):
                ask("getblockhash", [(1,), (2,)])


def test_a_refusal_carries_bitcoinds_number_and_a_warm_up_is_waited_for() -> None:
    with canned() as server, closing(Rpc(Endpoint(f"{server.url}/"))) as rpc:
        server.answers["/"] = (500, {"id": 0, "error": {"code": -8, "message": "out of range"}})
        with pytest.raises(RpcError, match=r"out of range \(-8\)") as caught:
            rpc.call("getblockhash", -1)
        assert caught.value.code == -8
        server.answers["/"] = (500, {"id": 0, "error": {"code": -28, "message": "Loading"}})
        with pytest.raises(NodeUnavailableError, match="the node is starting: Loading"):
            rpc.call("getblockhash", 1)


def test_nothing_is_sent_for_an_empty_batch() -> None:
    with closing(Rpc(Endpoint("http://127.0.0.1:9"))) as rpc:
        assert rpc.batch("getblockhash", []) == []
