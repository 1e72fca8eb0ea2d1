"""The values by which two indexers, a restored database and a replay are compared."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from indexer.bitcoin.block import display
from indexer.protocol.amount import format_amount
from indexer.protocol.model import Applied, BalanceKey, Change, Deploy, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EMPTY = bytes(32)

_DIGEST_MODULUS = 1 << 256


def event(applied: Applied) -> bytes:
    """Return the line, with its line feed, by which an operation enters the hash."""
    operation = applied.operation
    columns = (
        display(operation.txid),
        str(operation.vout),
        "" if operation.step is None else str(operation.step),
        _escape(operation.op),
        _escape(operation.ticker or ""),
        _event_amount(operation),
        operation.sender or "",
        operation.recipient or "",
        "1" if applied.valid else "0",
        applied.error or "",
    )
    return (";".join(columns) + "\n").encode()


def events_hash(rows: Iterable[Applied]) -> bytes:
    """Return SHA-256 over all events of a block (the rules call it block_hash)."""
    return sha256(b"".join(map(event, rows))).digest()


def next_state_hash(previous: bytes, events: bytes) -> bytes:
    """Return the cumulative hash after a block."""
    return sha256(previous + events).digest()


def next_digest(
    previous: bytes,
    deploys: Mapping[str, Change[Deploy]],
    balances: Mapping[BalanceKey, Change[int]],
) -> bytes:
    """Return the digest after changes: rows as they were are taken out of the sum, rows as they are put in."""
    total = int.from_bytes(previous)
    for deploy in deploys.values():
        total += _deploy_weight(deploy.after) - _deploy_weight(deploy.before)
    for key, balance in balances.items():
        total += _balance_weight(key, balance.after) - _balance_weight(key, balance.before)
    return (total % _DIGEST_MODULUS).to_bytes(32)


def digest(deploys: Iterable[Deploy], balances: Iterable[tuple[BalanceKey, int]]) -> bytes:
    """Return the digest recomputed from all rows of state."""
    return next_digest(
        EMPTY,
        {deploy.ticker: Change(None, deploy) for deploy in deploys},
        {key: Change(None, units) for key, units in balances},
    )


def deploy_row(deploy: Deploy | None) -> bytes | None:
    """Return the canonical form of a deploy, None for none."""
    if deploy is None:
        return None
    return _canonical(
        "deploys",
        deploy.ticker,
        format_amount(deploy.max_supply),
        None if deploy.limit_per_mint is None else format_amount(deploy.limit_per_mint),
        format_amount(deploy.minted),
        deploy.height,
        display(deploy.txid),
        deploy.deployer,
    )


def balance_row(key: BalanceKey, units: int | None) -> bytes | None:
    """Return the canonical form of a balance, None for a zero one (a zero row is no row)."""
    if not units:
        return None
    return _canonical("balances", key.ticker, key.address, format_amount(units))


def _canonical(*columns: str | int | None) -> bytes:
    return msgspec.json.encode(columns)  # a test holds it to what json.dumps writes without ASCII escapes and blanks


# What a block takes out of the sum was mostly put there by a block not long before.
@lru_cache(maxsize=4_096)
def _deploy_weight(deploy: Deploy | None) -> int:
    return _weight(deploy_row(deploy))


@lru_cache(maxsize=65_536)
def _balance_weight(key: BalanceKey, units: int | None) -> int:
    return _weight(balance_row(key, units))


def _weight(row: bytes | None) -> int:
    return 0 if row is None else int.from_bytes(sha256(row).digest())


def _event_amount(operation: Operation) -> str:
    is_deploy = operation.op == "deploy" and operation.ticker is not None
    if is_deploy:
        return f"{format_amount(operation.max_supply)}/{format_amount(operation.limit_per_mint)}"
    return format_amount(operation.amount)


@lru_cache(maxsize=1_024)
def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(";", "\\s").replace("\n", "\\n")
