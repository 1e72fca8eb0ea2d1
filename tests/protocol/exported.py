"""What a database exports, in the terms of the rules."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.protocol.building import ExpectedRow
from tests.protocol.harness import Deployed, units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.protocol.harness import Outcome

ID_BITS = 20


@dataclass(frozen=True)
class Exported:
    """The state as `simplicity state export` writes it; `ids` are those of the operations in their order."""

    height: int
    state_hash: str
    state_digest: str
    events: Mapping[int, list[bytes]]
    ids: list[int]
    balances: Mapping[tuple[str, str], int]
    deploys: Mapping[str, Deployed]

    @classmethod
    def read(cls, ndjson: bytes) -> Exported:
        """Read an export."""
        records = [json.loads(line) for line in ndjson.splitlines()]
        by_type = {kind: [r for r in records if r["type"] == kind] for kind in ("operation", "balance", "deploy")}
        events: dict[int, list[bytes]] = {}
        for record in by_type["operation"]:
            events.setdefault(record["height"], []).append(_event(record))
        return cls(
            height=records[0]["height"],
            state_hash=records[0]["state_hash"],
            state_digest=records[0]["state_digest"],
            events=events,
            ids=[record["op_id"] for record in by_type["operation"]],
            balances={(record["ticker"], record["address"]): units(record["amount"]) for record in by_type["balance"]},
            deploys={record["ticker"]: _deployed(record) for record in by_type["deploy"]},
        )


def assert_is(ndjson: bytes, outcome: Outcome) -> None:
    """Assert that an export says what an implementation said about the same chain, up to its last block."""
    found = Exported.read(ndjson)
    last = outcome.blocks[-1]
    assert found.height == last.height
    assert found.events == {block.height: block.events for block in outcome.blocks if block.events}
    assert (found.state_hash, found.state_digest) == (last.state_hash.hex(), f"{last.state_digest:064x}")
    assert found.balances == dict(outcome.balances)
    assert found.deploys == dict(outcome.deploys)
    expected_ids = [block.height << ID_BITS | number for block in outcome.blocks for number in range(len(block.events))]
    assert found.ids == expected_ids


def _event(record: dict[str, Any]) -> bytes:
    amount = record["amount"] or ""
    # A row that failed the checks of fields has no ticker, and no amounts either.
    if record["op"] == "deploy" and record["ticker"] is not None:
        amount = f"{record['max_supply'] or ''}/{record['limit_per_mint'] or ''}"
    assert record["valid"] is (record["error"] is None)
    return ExpectedRow(
        record["txid"],
        record["vout"],
        record["step"],
        record["op"],
        record["ticker"] or "",
        amount,
        record["sender"] or "",
        record["recipient"] or "",
        record["error"] or "",
    ).event


def _deployed(record: dict[str, Any]) -> Deployed:
    limit = record["limit_per_mint"]
    return Deployed(
        maximum=units(record["max_supply"]),
        limit=None if limit is None else units(limit),
        minted=units(record["minted"]),
        height=record["height"],
        txid=record["txid"],
        deployer=record["deployer"],
    )
