"""What is asked of a node by JSON-RPC, in how many questions, and what is made of odd answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from indexer.bitcoin.block import BlockDecodeError, OutPoint, internal
from indexer.bitcoin.rpc import NodeUnavailableError, RpcClient, RpcError
from indexer.bitcoin.source import BATCH, RpcBlockSource
from tests.support.scripted_node import ScriptedNode, scripted_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HASH = "ab" * 32
NO_INDEX = "No such mempool transaction. Use -txindex or provide a block hash"


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with scripted_node() as found:
        yield found


@pytest.fixture
def source(node: ScriptedNode) -> Iterator[RpcBlockSource]:
    client = RpcClient(node.url, timeout=5)
    yield RpcBlockSource(client)
    client.close()


def hash_of(height: int) -> str:
    return f"{height:064x}"


def up_to(tip: int) -> Callable[..., str]:
    def answer(_method: str, height: int) -> str:
        if height > tip:
            raise RpcError("getblockhash", -8, "Block height out of range")
        return hash_of(height)

    return answer


@pytest.mark.parametrize(
    ("first", "count", "found"),
    [(1, 10, range(1, 11)), (95, 10, range(95, 101)), (100, 1, [100]), (101, 10, []), (5, 0, [])],
)
def test_hashes_end_at_the_tip_and_take_one_round_trip(
    node: ScriptedNode, source: RpcBlockSource, first: int, count: int, found: range
) -> None:
    node.answer = up_to(100)
    assert source.hashes(first, count) == [internal(hash_of(height)) for height in found]
    assert source.round_trips == len(node.requests) == min(count, 1)


def test_many_hashes_are_asked_in_bounded_batches_and_none_after_the_tip(
    node: ScriptedNode, source: RpcBlockSource
) -> None:
    node.answer = up_to(BATCH + 10)
    assert len(source.hashes(1, 5 * BATCH)) == BATCH + 10
    assert [len(request) for request in node.requests] == [BATCH, BATCH]


def test_another_error_than_the_end_of_the_chain_is_raised(node: ScriptedNode, source: RpcBlockSource) -> None:
    def answer(*_: object) -> str:
        raise RpcError("getblockhash", -1, "odd")

    node.answer = answer
    with pytest.raises(RpcError, match="error -1: odd"):
        source.hashes(1, 3)


def test_a_hash_that_is_none_is_no_answer(node: ScriptedNode, source: RpcBlockSource) -> None:
    node.answer = lambda *_: "00"
    with pytest.raises(NodeUnavailableError, match="no hash"):
        source.hashes(1, 1)


def test_no_senders_are_no_question(source: RpcBlockSource) -> None:
    assert source.scripts({}, bytes(32)) == {}
    assert source.round_trips == 0


def verbose(*inputs: dict[str, Any]) -> Callable[..., Any]:
    """A node without an index that shows one transaction with these inputs after the coinbase."""

    def answer(method: str, *_: object) -> Any:  # noqa: ANN401 - JSON
        if method == "getrawtransaction":
            raise RpcError(method, -5, NO_INDEX)
        return {"tx": [{"vin": [{"coinbase": "00"}]}, {"vin": list(inputs)}]}

    return answer


def spent(script: str | None = "51", txid: str = HASH, vout: int = 3) -> dict[str, Any]:
    return {"txid": txid, "vout": vout} | ({} if script is None else {"prevout": {"scriptPubKey": {"hex": script}}})


POINT = OutPoint(internal(HASH), 3)


def test_without_an_index_senders_come_from_the_block_and_the_index_is_asked_once(
    node: ScriptedNode, source: RpcBlockSource
) -> None:
    node.answer = verbose(spent("00", vout=1), spent("51"))
    assert [source.scripts({POINT: (1, 1)}, bytes(32)) for _ in range(2)] == [{POINT: b"\x51"}] * 2
    assert source.round_trips == 3


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "fewer inputs"),
        ([spent(vout=4)], "other inputs"),
        ([spent(txid="cd" * 32)], "other inputs"),
        ([{"coinbase": "00"}], "other inputs"),
        ([spent("5")], "not hexadecimal"),
    ],
)
def test_an_answer_that_does_not_fit_the_block_is_a_corrupt_one(
    node: ScriptedNode, source: RpcBlockSource, inputs: list[dict[str, Any]], said: str
) -> None:
    node.answer = verbose(*inputs)
    with pytest.raises(BlockDecodeError, match=said):
        source.scripts({POINT: (1, 0)}, bytes(32))


def test_a_node_with_neither_index_nor_undo_data_is_told_what_it_lacks(
    node: ScriptedNode, source: RpcBlockSource
) -> None:
    node.answer = verbose(spent(None))
    with pytest.raises(NodeUnavailableError, match=rf"for block {'00' * 32}; run it with -txindex=1"):
        source.scripts({POINT: (1, 0)}, bytes(32))


def test_a_missing_transaction_is_no_missing_index(node: ScriptedNode, source: RpcBlockSource) -> None:
    def answer(method: str, *_: object) -> Any:  # noqa: ANN401 - JSON
        if method == "getrawtransaction":
            raise RpcError(method, -5, "No such mempool or blockchain transaction")
        return verbose(spent())(method)

    node.answer = answer
    for _ in range(2):
        assert source.scripts({POINT: (1, 0)}, bytes(32)) == {POINT: b"\x51"}
    assert source.round_trips == 4  # the index is asked first each time


def test_another_error_than_a_missing_index_is_raised(node: ScriptedNode, source: RpcBlockSource) -> None:
    def answer(method: str, *_: object) -> str:
        raise RpcError(method, -1, "odd")

    node.answer = answer
    with pytest.raises(RpcError, match="error -1: odd"):
        source.scripts({POINT: (1, 0)}, bytes(32))


@pytest.mark.parametrize("result", [None, 5, {}, "zz", "5"])
def test_a_block_that_is_no_hexadecimal_is_none(node: ScriptedNode, source: RpcBlockSource, result: object) -> None:
    node.answer = lambda *_: result
    with pytest.raises((NodeUnavailableError, BlockDecodeError)):
        source.raw_block(bytes(32))
