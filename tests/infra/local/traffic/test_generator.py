"""The command as people run it, as its own process, against a real node process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from infra.local.node.wire import decode_block
from infra.local.traffic.ledger import Ledger
from infra.local.traffic.tx import Output, Spend, build, txid
from infra.local.traffic.wallet import make_wallet
from tests.infra.local.node.harness import SIMPLICITY, NodeProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEADLINE = 30.0


@dataclass
class Traffic:
    """A running `simplicity traffic --json` whose lines are read as they come."""

    process: subprocess.Popen[str]
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [line for line in list(self.events) if line["event"] == event]

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        limit = time.monotonic() + DEADLINE
        while time.monotonic() < limit:
            if len(found := self.named(event)) >= count:
                return found[count - 1]
            assert self.process.poll() is None, self.events[-3:]
            time.sleep(0.02)
        raise TimeoutError(f"no {event!r} number {count} within {DEADLINE} s: {self.events[-3:]}")

    def finish(self, number: signal.Signals | None = None) -> int:
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(DEADLINE)
        self.reader.join(DEADLINE)
        return code


@pytest.fixture
def start() -> Iterator[Callable[..., Traffic]]:
    started: list[Traffic] = []

    def begin(*options: str, **environment: str) -> Traffic:
        command = [*SIMPLICITY, "traffic", "--json", "--rate", "0", *options]
        traffic = Traffic(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment))
        started.append(traffic)
        return traffic

    yield begin
    for traffic in started:
        if traffic.process.poll() is None:
            traffic.process.kill()
            traffic.process.wait(DEADLINE)
        traffic.reader.join(DEADLINE)
        assert traffic.process.stdout is not None
        traffic.process.stdout.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    running = NodeProcess(tmp_path / "node").start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node for all tests that do not mind what is on the chain already."""
    running = NodeProcess(tmp_path_factory.mktemp("traffic") / "node").start()
    yield running
    running.kill()


def at(node: NodeProcess) -> tuple[str, ...]:
    return "--rpc-url", f"http://127.0.0.1:{node.port}", "--rpc-cookie-file", str(node.directory / ".cookie")


def read_ledger(node: NodeProcess, seed: str = "simplicity") -> Ledger:
    ledger = Ledger(make_wallet(seed))
    for height in range(1, node.rpc("getblockcount") + 1):
        block = node.rpc("getblock", node.rpc("getblockhash", height), 0)
        ledger.connect(decode_block(bytes.fromhex(block)))
    return ledger


def test_the_first_run_mines_coins_then_as_many_blocks_as_asked_for(
    node: NodeProcess, start: Callable[..., Traffic]
) -> None:
    traffic = start(*at(node), "--blocks", "5")
    assert traffic.finish() == 0
    assert [line["event"] for line in traffic.events] == ["warm-up", *["block"] * 5]
    assert node.rpc("getblockcount") == traffic.events[0]["height"] + 5
    assert node.rpc("getbestblockhash") == traffic.events[-1]["hash"]
    assert sum(line["transactions"] for line in traffic.named("block")) > 10


def test_after_a_kill_the_next_run_goes_on_from_the_chain(shared: NodeProcess, start: Callable[..., Traffic]) -> None:
    first = start(*at(shared))
    first.wait_for("block", 8)
    first.process.kill()
    first.process.wait(DEADLINE)
    height = shared.rpc("getblockcount")
    again = start(*at(shared), "--blocks", "4")
    assert again.finish() == 0
    assert not again.named("warm-up")
    assert [line["height"] for line in again.named("block")] == [height + n for n in (1, 2, 3, 4)]


def test_reorgs_replace_as_many_blocks_as_asked_for_every_so_often(
    shared: NodeProcess, start: Callable[..., Traffic]
) -> None:
    traffic = start(*at(shared), "--blocks", "8", "--reorg-every", "4", "--reorg-depth", "3")
    assert traffic.finish() == 0
    blocks, reorgs = traffic.named("block"), traffic.named("reorg")
    assert [line["depth"] for line in reorgs] == [3, 3]
    assert reorgs[0]["fork_height"] == blocks[0]["height"]
    assert reorgs[0]["height"] == blocks[3]["height"] + 1
    assert shared.rpc("getblockhash", blocks[0]["height"]) == blocks[0]["hash"]
    for lost in blocks[1:4]:
        assert shared.rpc("getblockhash", lost["height"]) != lost["hash"]
    assert shared.rpc("getbestblockhash") == reorgs[1]["hash"]


def test_one_reorg_now_beside_a_running_generator_of_the_same_seed(
    shared: NodeProcess, start: Callable[..., Traffic]
) -> None:
    # Slow enough for the fork to win its race on a busy machine, too.
    running = start(*at(shared), "--rate", "5")
    running.wait_for("block", 5)
    once = start(*at(shared), "--reorg", "4")
    assert once.finish() == 0
    (reorg,) = once.named("reorg")
    assert reorg["depth"] == 4
    seen = len(running.named("block"))
    running.wait_for("block", seen + 5)
    assert running.finish(signal.SIGTERM) == 0
    assert shared.rpc("getblockhash", reorg["height"]) == reorg["hash"]


def test_a_reorg_deeper_than_the_chain_is_refused_in_one_line(
    node: NodeProcess, start: Callable[..., Traffic], capfd: pytest.CaptureFixture[str]
) -> None:
    assert start(*at(node), "--reorg", "7").finish() == 2
    assert capfd.readouterr().err == (
        "simplicity traffic: cannot reorganise 7 blocks: the chain has only 0; choose a smaller depth\n"
    )


def test_what_other_people_put_into_the_mempool_is_mined(shared: NodeProcess, start: Callable[..., Traffic]) -> None:
    assert start(*at(shared), "--blocks", "2", "--seed", "somebody").finish() == 0
    coin = max(read_ledger(shared, "somebody").spendable(), key=lambda coin: coin.value)
    parent = build([Spend(coin)], [Output(coin.value - 5_000, coin.script)])
    heir = type(coin)(txid(parent), 0, coin.value - 5_000, coin.key, coin.kind)
    child = build([Spend(heir)], [Output(heir.value - 5_000, coin.script)])
    before = shared.rpc("getblockcount")
    sent = [shared.rpc("sendrawtransaction", raw.hex()) for raw in (parent, child)]
    assert start(*at(shared), "--blocks", "1", "--seed", "somebody else").finish() == 0
    mined: list[str] = []
    for height in range(before + 1, shared.rpc("getblockcount") + 1):
        mined += shared.rpc("getblock", shared.rpc("getblockhash", height), 1)["tx"]
    assert [name for name in mined if name in sent] == sent
    assert shared.rpc("getrawmempool") == []


def test_it_waits_for_a_node_that_is_not_there_yet_and_for_one_that_went_away(
    tmp_path: Path, start: Callable[..., Traffic]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    node = NodeProcess(tmp_path / "node", ("--port", str(port)))
    traffic = start("--rpc-url", f"http://127.0.0.1:{port}", "--rpc-cookie-file", str(tmp_path / "node" / ".cookie"))
    traffic.wait_for("waiting")
    try:
        node.start()
        traffic.wait_for("block", 3)
        node.kill()
        traffic.wait_for("waiting", 2)
        before = len(traffic.named("block"))
        node.start()
        traffic.wait_for("block", before + 3)
        assert len(traffic.named("waiting")) == 2, "one line an outage, not one a try"
        assert len(traffic.named("back")) == 2
        assert traffic.finish(signal.SIGINT) == 0
    finally:
        node.kill()


def test_a_node_that_begins_anew_is_followed_from_its_first_block(
    tmp_path: Path, node: NodeProcess, start: Callable[..., Traffic]
) -> None:
    old = start(*at(node), "--blocks", "3", "--reorg-every", "2")
    assert old.finish() == 0
    other = NodeProcess(tmp_path / "other").start()
    try:
        longer = [node.rpc("getblock", node.rpc("getblockhash", h), 0) for h in range(1, 60)]
        for block in longer:
            assert other.rpc("submitblock", block) is None
        traffic = start(*at(other), "--blocks", "2")
        assert traffic.finish() == 0
        assert traffic.named("warm-up")[0]["blocks"] == 41
    finally:
        other.kill()


class _Elsewhere(BaseHTTPRequestHandler):
    """A node of the main network."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"id": 0, "error": None, "result": {"chain": "main"}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_it_refuses_any_chain_but_regtest_in_one_line(
    start: Callable[..., Traffic], capfd: pytest.CaptureFixture[str]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        assert start("--rpc-url", f"http://127.0.0.1:{server.server_address[1]}").finish() == 2
        server.shutdown()
    assert capfd.readouterr().err == (
        "simplicity traffic: the node is on chain 'main'; traffic is only for regtest: choose another --rpc-url\n"
    )


def test_a_wrong_password_and_a_wrong_url_end_it_in_one_line_without_the_password(
    shared: NodeProcess, start: Callable[..., Traffic], capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{shared.port}"
    assert start("--rpc-url", url, "--rpc-user", "me", BITCOIN_RPC_PASSWORD="hidden").finish() == 2
    assert start("--rpc-url", "no url", "--rpc-user", "me", BITCOIN_RPC_PASSWORD="hidden").finish() == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "refuses the login" in lines[0]
    assert "no URL of a node" in lines[1]
    assert not any("hidden" in line for line in lines)


def test_the_environment_names_the_node_as_it_does_for_the_indexer(
    shared: NodeProcess, start: Callable[..., Traffic]
) -> None:
    traffic = start(
        "--blocks",
        "1",
        BITCOIN_RPC_URL=f"http://127.0.0.1:{shared.port}",
        BITCOIN_RPC_COOKIE_FILE=f"{shared.directory}/.cookie",
    )
    assert traffic.finish() == 0
    assert shared.rpc("getblockcount") == traffic.named("block")[0]["height"]
