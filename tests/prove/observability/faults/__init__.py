"""Real faults and loads, by the names of `dashboards.witnesses`: each is a context, and leaves nothing behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.prove.observability.faults.backups import archive_broken, backup, backups_gone, disk_full
from tests.prove.observability.faults.chain import blocks, reorg
from tests.prove.observability.faults.clients import LIST, bursts, idle_clients, load, token_spike
from tests.prove.observability.faults.clock import wrong_clock
from tests.prove.observability.faults.database import (
    dead_rows,
    deadlock,
    long_transaction,
    revoked_password,
    slow_queries,
    tampered_state,
    writer_blocked,
)
from tests.prove.observability.faults.machine import cpu_hog, memory_hog
from tests.prove.observability.faults.monitoring import broken_rule, receiver_refuses
from tests.prove.observability.faults.processes import hanging, repeated, stopped

if TYPE_CHECKING:
    from tests.prove.observability.faults.processes import Fault

FAULTS: dict[str, Fault] = {
    "load": load,
    "idle-clients": idle_clients,
    "blocks": blocks,
    "reorg": reorg,
    "api-stopped": hanging("api-1"),
    "database-stopped": hanging("postgresql"),
    "database-password": revoked_password,
    "node-stopped": hanging("bitcoin-node"),
    "cache-stopped": stopped("valkey"),
    "sync-stopped": hanging("sync"),
    "bad-keys": repeated(bursts("GET", LIST, 20, headers={"X-API-Key": "sk_none_none"}), every=0.2),
    "rate-limit-storm": repeated(bursts("POST", "/v1/auth/token", 50, headers={"X-API-Key": "sk_none"}), every=0.1),
    "token-spike": token_spike,
    "slow-queries": slow_queries,
    "writer-blocked": writer_blocked,
    "long-transaction": long_transaction,
    "deadlock": deadlock,
    "dead-rows": dead_rows,
    "backup": backup,
    "backups-gone": backups_gone,
    "archive-broken": archive_broken,
    "tampered-state": tampered_state,
    "cpu-hog": cpu_hog,
    "memory-hog": memory_hog,
    "disk-full": disk_full,
    "wrong-clock": wrong_clock,
    "exporter-stopped": stopped("valkey-exporter"),
    "receiver-refuses": receiver_refuses,
    "broken-rule": broken_rule,
    "alert": stopped("valkey-exporter"),
}
