"""Blocks by REST where the node has it; without an error by JSON-RPC where it has not, not any more, or not now."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from indexer.bitcoin.block import BlockDecodeError, OutPoint, display, internal
from indexer.bitcoin.rest import MAX_BLOCK, RestBlockSource, block_source, spent_scripts
from indexer.bitcoin.rpc import NodeUnavailableError, RpcClient, RpcError
from indexer.bitcoin.source import RpcBlockSource
from indexer.settings import load
from tests.support.scripted_node import NO_PAGE, Page, ScriptedNode, scripted_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HASH = "ab" * 32
OTHER = "cd" * 32
BLOCK, POINT = f"/rest/block/{HASH}.bin", OutPoint(internal(OTHER), 3)
SPENT = f"/rest/spenttxouts/{HASH}.bin"
CHAIN_INFO = "/rest/chaininfo.json"
INFO = Page(200, b'{"chain": "regtest", "blocks": 5, "bestblockhash": "' + OTHER.encode() + b'", "more": []}\n')
BY_REST, BY_RPC = b"by REST", b"by RPC"
# Three transactions: the coinbase, one input without value and script, two inputs.
SPENT_OUTPUTS = bytes.fromhex("0300010000000000000000000201000000000000000151") + (
    bytes.fromhex("0200000000000000fdfd00") + b"\x6a" * 253
)


def by_rpc(method: str, *_: object) -> Any:  # noqa: ANN401 - JSON
    if method == "getblock":
        return BY_RPC.hex()
    if method == "getrawtransaction":
        outputs = "04" + ("00" * 8 + "0151") * 3 + "00" * 8 + "0152"
        return "02000000" + "01" + "00" * 36 + "00" + "ffffffff" + outputs + "00000000"
    raise RpcError(method, -1, "not asked for here")


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with scripted_node() as found:
        found.pages = {
            CHAIN_INFO: INFO,
            BLOCK: Page(200, BY_REST),
            SPENT: Page(200, SPENT_OUTPUTS),
        }
        found.answer = by_rpc
        yield found


@pytest.fixture
def source(node: ScriptedNode) -> Iterator[RestBlockSource]:
    client = RpcClient(node.url, user="me", password="hunter2", timeout=5)
    yield RestBlockSource(client)
    client.close()


def block(source: RestBlockSource) -> bytes:
    return source.raw_block(internal(HASH))


def sender(source: RestBlockSource) -> bytes:
    return source.scripts({POINT: (2, 0)}, internal(HASH))[POINT]


def test_a_block_and_its_senders_are_two_round_trips(node: ScriptedNode, source: RestBlockSource) -> None:
    assert (block(source), sender(source)) == (BY_REST, b"\x51")
    assert node.requests == [CHAIN_INFO, BLOCK, SPENT]
    assert source.round_trips == 3  # the first of them finds out what the node has
    assert source.interface() == "REST"


@pytest.mark.parametrize(
    "info",
    [
        NO_PAGE,
        Page(401, b""),
        Page(405, b"JSONRPC server handles only POST requests"),
        Page(200, b"<html>a wiki</html>"),
        Page(200, b"[" * 100_000),
        Page(200, b"\xff\xfe"),
        Page(200, b'{"chain": 5}'),
        Page(201, INFO.body),
        Page(200, b" " * (2 << 20)),
    ],
)
def test_a_node_without_rest_is_asked_for_it_once_and_then_read_by_json_rpc(
    node: ScriptedNode, source: RestBlockSource, info: Page
) -> None:
    node.pages[CHAIN_INFO] = info
    with capture_logs() as logs:
        assert [block(source), block(source), sender(source)] == [BY_RPC, BY_RPC, b"\x52"]
    assert [path for path in node.requests if isinstance(path, str)] == [CHAIN_INFO]
    assert logs == []
    assert source.interface() == "JSON-RPC"


def test_a_node_that_is_starting_is_asked_again_once_it_runs(node: ScriptedNode, source: RestBlockSource) -> None:
    def starting(method: str, *_: object) -> Any:  # noqa: ANN401 - JSON
        raise RpcError(method, -28, "Loading block index")

    node.answer, node.pages[CHAIN_INFO] = starting, Page(503, b"Service temporarily unavailable: Loading\r\n")
    with pytest.raises(NodeUnavailableError, match="is starting: Loading block index"):
        block(source)
    assert source.interface() == "JSON-RPC"
    node.answer, node.pages[CHAIN_INFO] = by_rpc, INFO
    assert block(source) == BY_REST


def test_a_node_that_is_down_at_first_is_no_node_without_rest() -> None:
    client = RpcClient("http://127.0.0.1:1", timeout=1)
    source = RestBlockSource(client)
    with pytest.raises(NodeUnavailableError, match="cannot be reached"):
        block(source)
    with scripted_node() as node:
        node.pages = {CHAIN_INFO: INFO, BLOCK: Page(200, BY_REST)}
        again = RpcClient(node.url, timeout=5)
        source._rpc = again  # noqa: SLF001 - the node has come up
        assert block(source) == BY_REST
        again.close()
    client.close()


def test_rest_that_vanishes_midway_is_said_once_and_missed_no_more(node: ScriptedNode, source: RestBlockSource) -> None:
    assert block(source) == BY_REST
    node.pages.clear()
    with capture_logs() as logs:
        assert [block(source), block(source), sender(source)] == [BY_RPC, BY_RPC, b"\x52"]
    assert [(line["log_level"], line["status"]) for line in logs] == [("warning", 404)]
    assert "going on by JSON-RPC" in logs[0]["event"]
    assert [path for path in node.requests if isinstance(path, str)] == [CHAIN_INFO, BLOCK, BLOCK]
    assert source.interface() == "JSON-RPC"


@pytest.mark.parametrize("page", [Page(503, b"Work queue depth exceeded"), Page(404, f"{HASH} not found\r\n".encode())])
def test_a_refusal_that_will_pass_is_bridged_by_json_rpc(
    node: ScriptedNode, source: RestBlockSource, page: Page
) -> None:
    assert block(source) == BY_REST
    node.pages |= {BLOCK: page, SPENT: page}
    with capture_logs() as logs:
        assert (block(source), sender(source)) == (BY_RPC, b"\x52")
        node.pages |= {BLOCK: Page(200, BY_REST), SPENT: Page(200, SPENT_OUTPUTS)}
        assert (block(source), sender(source)) == (BY_REST, b"\x51")
    assert logs == []


def test_a_node_older_than_spenttxouts_is_asked_for_them_once(node: ScriptedNode, source: RestBlockSource) -> None:
    del node.pages[SPENT]
    assert [sender(source), sender(source), block(source)] == [b"\x52", b"\x52", BY_REST]
    assert node.requests.count(SPENT) == 1


def test_no_senders_are_no_question(source: RestBlockSource) -> None:
    assert source.scripts({}, internal(HASH)) == {}
    assert source.round_trips == 0


def test_a_block_larger_than_a_block_can_be_is_refused(node: ScriptedNode, source: RestBlockSource) -> None:
    node.pages[BLOCK] = Page(200, bytes(MAX_BLOCK))
    assert len(block(source)) == MAX_BLOCK
    node.pages[BLOCK] = Page(200, bytes(MAX_BLOCK + 1))
    with pytest.raises(NodeUnavailableError, match="more than 4000000 bytes"):
        block(source)


@pytest.mark.parametrize("body", [b"", b"\x00", b"<html>", SPENT_OUTPUTS[:-1], SPENT_OUTPUTS[:20]])
def test_spent_outputs_that_are_none_are_corrupt(node: ScriptedNode, source: RestBlockSource, body: bytes) -> None:
    node.pages[SPENT] = Page(200, body)
    with pytest.raises(BlockDecodeError, match="do not fit the block"):
        sender(source)


def test_tip_and_hashes_are_json_rpcs(node: ScriptedNode, source: RestBlockSource) -> None:
    node.answer = lambda method, *_: (
        {"chain": "regtest", "blocks": 5, "bestblockhash": OTHER} if method == "getblockchaininfo" else OTHER
    )
    assert source.tip().hash == internal(OTHER)
    assert source.hashes(4, 2) == [internal(OTHER)] * 2
    assert source.round_trips == 2


@pytest.mark.parametrize(
    ("url", "rest", "kind"),
    [
        ("http://node:8332", True, RestBlockSource),
        ("http://node:8332/", True, RestBlockSource),
        ("http://node:8332", False, RpcBlockSource),
        ("https://hosted.example.com/a-key", True, RpcBlockSource),
    ],
)
def test_settings_choose_the_source(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    url: str,
    rest: bool,  # noqa: FBT001 - a parameter of the test
    kind: type,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://user@host/db")
    monkeypatch.setenv("BITCOIN_RPC_URL", url)
    monkeypatch.setenv("BITCOIN_REST", str(rest))
    settings = load()
    found = block_source(settings, RpcClient.from_settings(settings))
    assert type(found) is kind


# --- /rest/spenttxouts ------------------------------------------------------------------------------------------------


def compact(number: int) -> bytes:
    for limit, mark, form in ((0xFD, b"", "<B"), (1 << 16, b"\xfd", "<H"), (1 << 32, b"\xfe", "<I")):
        if number < limit:
            return mark + struct.pack(form, number)
    return b"\xff" + struct.pack("<Q", number)


def serialise(transactions: list[list[bytes]]) -> bytes:
    """What Core's SerializeBlockUndo writes, with any value."""
    return compact(len(transactions)) + b"".join(
        compact(len(scripts)) + b"".join(struct.pack("<q", 7) + compact(len(script)) + script for script in scripts)
        for scripts in transactions
    )


@pytest.mark.parametrize("seed", range(20))
def test_every_spent_output_is_found_by_its_place_and_every_cut_is_seen(seed: int) -> None:
    rng = random.Random(seed)
    sizes = [0, 1, 22, 34, 252, 253, 254, 255, 256, 10_000, 70_000]
    transactions: list[list[bytes]] = [[]] + [
        [rng.randbytes(rng.choice(sizes)) for _ in range(rng.choice([1, 2, 3, 260]))] for _ in range(rng.randint(1, 6))
    ]
    places = [(index, number) for index, scripts in enumerate(transactions) for number in range(len(scripts))]
    chosen = {OutPoint(rng.randbytes(32), rng.randrange(9)): place for place in rng.sample(places, min(9, len(places)))}
    expected = {outpoint: transactions[index][number] for outpoint, (index, number) in chosen.items()}
    data = serialise(transactions)
    assert spent_scripts(data, chosen) == expected
    # Up to the last transaction that is asked for every byte is needed, beyond it none is.
    needed = len(serialise(transactions[: max(index for index, _ in chosen.values()) + 1]))
    assert spent_scripts(data[:needed], chosen) == expected
    for cut in {needed - 1, 0, 1, *(rng.randrange(needed) for _ in range(50))}:
        with pytest.raises(BlockDecodeError):
            spent_scripts(data[:cut], chosen)


@pytest.mark.parametrize("place", [(0, 0), (1, 1), (2, 2), (3, 0), (1 << 40, 0)])
def test_an_input_that_the_answer_does_not_have_is_corrupt(place: tuple[int, int]) -> None:
    with pytest.raises(BlockDecodeError):
        spent_scripts(SPENT_OUTPUTS, {POINT: place})


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" + b"\xff" * 8,
        b"\x02\x00\xff" + b"\xff" * 8,
        b"\x02\x00\xfe",
        b"\x02\x00\x01" + bytes(8) + b"\xff" + b"\xff" * 8,
        b"\x02\x00\x01" + bytes(8) + b"\xfd\x01",
    ],
)
def test_hostile_lengths_end_at_the_end_of_the_bytes(data: bytes) -> None:
    with pytest.raises(BlockDecodeError):
        spent_scripts(data, {POINT: (1, 0)})


def test_random_bytes_are_never_anything_but_scripts_or_a_decode_error() -> None:
    rng = random.Random(2)
    for _ in range(3000):
        data = bytes([rng.randint(1, 5), 0]) + rng.randbytes(rng.randrange(80))
        try:
            found = spent_scripts(data, {POINT: (rng.randrange(4), rng.randrange(3))})
        except BlockDecodeError:
            continue
        assert found[POINT] in data


def test_the_hash_is_shown_reversed_in_the_path(node: ScriptedNode, source: RestBlockSource) -> None:
    block_hash = bytes(range(32))
    node.pages[f"/rest/block/{display(block_hash)}.bin"] = Page(200, b"it")
    assert source.raw_block(block_hash) == b"it"
