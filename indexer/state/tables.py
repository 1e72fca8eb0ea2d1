"""Compare the tables of state, and the undo data, with what the operations say they hold."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from msgspec.structs import astuple

from indexer.protocol.hashing import EMPTY, next_digest
from indexer.protocol.model import BalanceKey, Change, Deploy
from indexer.store.replayed import balances, deploys

if TYPE_CHECKING:
    from indexer.state.findings import Findings
    from indexer.state.replay import Replay
    from indexer.store.connection import Connection
    from indexer.store.replayed import Undo

_BATCH = 5_000
_BALANCE = ("amount", "height")


def digest_of_tables(connection: Connection) -> bytes:
    """Return the digest recomputed from all rows of deploys and balances. The connection must be in a transaction."""
    digest = next_digest(EMPTY, {deploy.ticker: Change(None, deploy) for deploy in deploys(connection)}, {})
    rows = balances(connection)
    while batch := list(islice(rows, _BATCH)):
        digest = next_digest(digest, {}, {key: Change(None, units) for key, units, _ in batch})
    return digest


def compare_tables(connection: Connection, replay: Replay, findings: Findings) -> None:
    """Compare deploys and balances with the recomputed state. The connection must be in a transaction.

    The recomputed state is used up: each row that is met is taken out of it.
    """
    for deploy in deploys(connection):
        _compare_deploy(deploy.ticker, deploy, replay.deploys.pop(deploy.ticker, None), findings)
    for ticker, deploy in replay.deploys.items():
        _compare_deploy(ticker, None, deploy, findings)
    for key, units, height in balances(connection):
        _compare_balance(key, (units, height), _taken(replay, key), findings)
    for key in list(replay.balances):
        _compare_balance(key, None, _taken(replay, key), findings)


def _taken(replay: Replay, key: BalanceKey) -> tuple[int, int] | None:
    units = replay.balances.pop(key, None)
    return None if units is None else (units, replay.heights.pop(key))


def _compare_deploy(ticker: str, found: Deploy | None, expected: Deploy | None, findings: Findings) -> None:
    was, to = (None if each is None else astuple(each) for each in (found, expected))
    findings.compare("deploys", repr(ticker), Deploy.__struct_fields__, was, to)


def _compare_balance(
    key: BalanceKey, found: tuple[int, int] | None, expected: tuple[int, int] | None, findings: Findings
) -> None:
    findings.compare("balances", f"{key.ticker!r} of {key.address}", _BALANCE, found, expected)


def compare_undo(height: int, found: Undo, expected: Undo, findings: Findings) -> None:
    """Compare the undo data of a block with the state before it, as far as the block changed it."""
    if found == expected:
        return
    for key in sorted(found[0].keys() | expected[0].keys()):
        row = f"block {height}, ticker key {key.hex()}"
        findings.compare("undo_deploys", row, ("minted",), found[0].get(key), expected[0].get(key))
    for pair in sorted(found[1].keys() | expected[1].keys()):
        row = f"block {height}, ticker key {pair[0].hex()} of {pair[1]}"
        findings.compare("undo_balances", row, ("amount", "amount_height"), found[1].get(pair), expected[1].get(pair))
