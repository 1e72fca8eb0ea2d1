"""Answers to alerts about the indexer's process: down, or behind the chain."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runbooks.engine.model import Look
from runbooks.response.acts import evidence_step, health, metrics, restart_step, service_parameter, unwell
from runbooks.response.answering import answer
from runbooks.response.looks import HEALTH, SERVICES, healthy_look
from runbooks.response.sessions import see_sessions

if TYPE_CHECKING:
    from runbooks.engine.model import Context

# A block is indexed in less than a second; a writer that has more to do and commits none for so long hangs.
STANDSTILL_SECONDS = 20.0
PACE = metrics(
    lag_blocks="max(simplicity_api_lag_blocks{HERE})",
    blocks_a_second="sum(rate(simplicity_blocks_indexed_total{HERE}[2m]))",
    seconds_a_block="sum(rate(simplicity_block_seconds_sum{HERE}[10m]))"
    " / sum(rate(simplicity_block_seconds_count{HERE}[10m]))",
    seconds_a_commit="sum(rate(simplicity_commit_seconds_sum{HERE}[10m]))"
    " / sum(rate(simplicity_commit_seconds_count{HERE}[10m]))",
    node_failures="sum(increase(simplicity_node_failures_total{HERE}[10m]))",
    database_failures="sum(increase(simplicity_database_failures_total{HERE}[10m]))",
)


def standing_still(context: Context) -> list[str]:
    """Return sync where it does not answer, or commits nothing though the node is ahead."""
    found = unwell(context, ("sync",))
    if found or (before := _position(context)) is None:
        return found
    tip, node = before
    context.say(f"the index is at block {tip}, the node at {node}")
    deadline = time.monotonic() + STANDSTILL_SECONDS
    while tip < node and time.monotonic() < deadline:
        time.sleep(1.0)
        now = _position(context)
        if now is None or now[0] != tip:
            return []
    return ["sync"] if tip < node else []


def _position(context: Context) -> tuple[int, int] | None:
    from runbooks.maintenance.checks import checks_of  # noqa: PLC0415 - a page is shown without the packages
    from runbooks.maintenance.health import examine  # noqa: PLC0415 - as above

    (found,) = examine(context.environment, {"sync": checks_of(context.environment)["sync"]})
    facts = found.verdict.facts
    return (int(facts["tip_height"]), int(facts["node_height"])) if facts else None


DOWN = answer(
    "answer-indexer-down",
    title="Answer: the indexer does not run",
    meaning="The writer's process is gone or hangs, or none of them writes: each waits for a lock that another session "
    "holds.",
    impact="The index stands still: clients get balances that grow old. Nothing is lost; sync goes on by itself.",
    diagnosis=(
        SERVICES,
        HEALTH,
        Look(
            title="Who is in the database (the writer's lock is a session's)",
            see=see_sessions,
            by_hand="in psql: `SELECT pid, application_name, client_addr, backend_start FROM pg_locks JOIN "
            "pg_stat_activity USING (pid) WHERE locktype = 'advisory'`",
        ),
    ),
    steps=(restart_step("sync", needs=("database", "node")),),
    verify=(healthy_look("sync", within=600.0),),
    undo="There is nothing to take back: every commit is whole, and sync goes on after the last one.",
    parameters=(service_parameter("sync", example="sync"),),
)

BEHIND = answer(
    "answer-indexer-behind",
    title="Answer: the indexer is behind the chain",
    meaning="The node has blocks that the index lacks, for longer than it takes to index them: the writer hangs, the "
    "database is slow, or there are more blocks than usual at once (after an outage it only has to catch up).",
    impact="Clients get balances as of an older block: a wallet may let its user spend what is gone.",
    diagnosis=(SERVICES, HEALTH),
    steps=(
        evidence_step(
            {"health": health, "pace": PACE},
            "it advances: wait; seconds a commit above a second: answer-slow-database; node failures: "
            "answer-node-down; a reorg too deep: answer-reorg",
            "in Prometheus, `rate(simplicity_blocks_indexed_total[2m])` and `simplicity_api_lag_blocks`; "
            "`simplicity logs sync --level warning`",
        ),
        restart_step(
            "sync",
            choose=standing_still,
            needs=("database", "node"),
            what=f"the writer where it hangs, or commits nothing for {STANDSTILL_SECONDS:g} s though the node is ahead",
        ),
    ),
    verify=(healthy_look("sync", within=3_600.0),),
    undo="There is nothing to take back: every commit is whole, and sync goes on after the last one.",
    parameters=(service_parameter("sync", example="sync"),),
)

RUNBOOKS = (DOWN, BEHIND)
