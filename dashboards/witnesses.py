"""The loads and faults that fill panels: each panel names one, and a proof runs it against the live stack."""

from __future__ import annotations

from typing import Final

WITNESSES: Final[dict[str, str]] = {
    "load": "the load test's users ask the API",
    "idle-clients": "clients connect to the API and say nothing",
    "blocks": "blocks full of operations are mined faster",
    "reorg": "the node changes to another branch",
    "api-stopped": "an API process hangs (SIGSTOP)",
    "database-stopped": "PostgreSQL hangs (SIGSTOP)",
    "database-password": "the reader's password is changed in the database",
    "node-stopped": "the Bitcoin node hangs (SIGSTOP)",
    "cache-stopped": "Valkey is gone",
    "sync-stopped": "the indexer's writer hangs (SIGSTOP)",
    "bad-keys": "a flood of requests with keys that do not exist",
    "rate-limit-storm": "one client asks far more than its limit",
    "token-spike": "one client has tokens issued over and over",
    "slow-queries": "queries wait for a lock on the tables that they read",
    "writer-blocked": "a lock lets everybody read blocks and nobody write them",
    "long-transaction": "a transaction that has written stays open",
    "deadlock": "two transactions wait for one another",
    "dead-rows": "a table is updated over and over",
    "backup": "a backup is made and proven",
    "backups-gone": "every backup is taken out of the repository",
    "archive-broken": "WAL cannot be written to the repository of backups",
    "tampered-state": "the recorded state hash of an indexed block is changed",
    "cpu-hog": "a process computes on every core",
    "memory-hog": "a process takes most of the memory",
    "disk-full": "a small file system runs full",
    "wrong-clock": "a process of the API runs with a clock that is wrong (faketime)",
    "exporter-stopped": "an exporter is gone",
    "receiver-refuses": "the receiver of alerts refuses them",
    "broken-rule": "a rule that cannot be evaluated is loaded",
    "alert": "any alert fires and resolves",
}
