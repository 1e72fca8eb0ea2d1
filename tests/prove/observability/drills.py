"""Which alerts a fault has to raise, and how long it may take until they are delivered, and resolved after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.prove.observability.faults import FAULTS
from tests.prove.observability.faults.backups import damaged_backup, forged_trail
from tests.prove.observability.faults.clients import few_errors
from tests.prove.observability.faults.database import slow_answers
from tests.prove.observability.faults.processes import hanging, killed, stopped

if TYPE_CHECKING:
    from tests.prove.observability.faults.processes import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One fault and its alerts: those that are delivered, and those that fire and are hidden by worse ones.

    `lasts`: seconds that it lasts at least, so that panels have something to show. `late`: what it does to the way of
    alerts keeps them back, and they are delivered after it.
    """

    name: str
    fault: Fault
    alerts: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    late: bool = False
    within: float = 60.0
    resolves: float = 90.0
    lasts: float = 15.0
    quick: bool = False


def _of(witness: str, *alerts: str, **more: Any) -> Drill:  # noqa: ANN401 - a drill's fields
    return Drill(name=witness, fault=FAULTS[witness], alerts=alerts, **more)


def _by(name: str, fault: Fault, *alerts: str, **more: Any) -> Drill:  # noqa: ANN401 - as above
    return Drill(name=name, fault=fault, alerts=alerts, **more)


DRILLS = (
    _of("sync-stopped", "NoWriter", hidden=("IndexerDown", "IndexerNotAdvancing"), quick=True),
    _of("load", lasts=30),
    _of("idle-clients"),
    _of("blocks", lasts=20),
    _of("backup"),
    _of("memory-hog"),
    _of("reorg", "DeepReorg", quick=True),
    _of("api-stopped", "ApiDown", quick=True),
    _by("all-api-stopped", hanging("api-1", "api-2"), "NoApiInstance", hidden=("ApiDown",), quick=True),
    _by("balancer-killed", killed("haproxy"), "BalancerDown"),
    _of("node-stopped", "BitcoinNodeDown", lasts=45, quick=True),
    _of("database-stopped", "DatabaseDown", hidden=("DatabaseUnreachable",), quick=True),
    _of("database-password", "DatabaseUnreachable", "HighErrorRate", hidden=("ApiAvailabilityBurn",), quick=True),
    _by("few-errors", few_errors, "ApiAvailabilityBurn"),
    _by("slow-answers", slow_answers, "ApiLatencyBurn", "SqlLatencyBurn"),
    _of("writer-blocked", "IndexerNotAdvancing", hidden=("IndexingFreshnessBurn",)),
    _by("no-blocks", stopped("traffic"), "BitcoinNodeStuck", within=180),
    _of("cache-stopped", "CacheDown", hidden=("RateLimiterDegraded",), quick=True),
    _of("bad-keys", "AuthenticationFailures", hidden=("FailedLogins",), quick=True),
    _of("rate-limit-storm", "RateLimitStorm"),
    _of("token-spike", "TokenIssueSpike"),
    _of("slow-queries", "HighResponseTime", hidden=("SlowResponses",), lasts=30, quick=True),
    _of("long-transaction", "LongTransaction", within=150),
    _of("deadlock", "Deadlocks"),
    _of("dead-rows", "TableBloat", within=120, resolves=120),
    _of("archive-broken", "BackupRepositoryAway", hidden=("WalArchivingFailing",), lasts=100),
    _of("tampered-state", "StateHashMismatch", within=90),
    _of("cpu-hog", "HighCpu"),
    _of("disk-full", "DiskFull", quick=True),
    _of("wrong-clock", "ClockWrong", quick=True),
    _of("exporter-stopped", "TargetDown", quick=True),
    _of("alert", "TargetDown"),
    _by("damaged-backup", damaged_backup, "BackupUnusable"),
    _by("forged-trail", forged_trail, "AuditTrailMismatch"),
    _by("agent-killed", killed("backup"), "BackupAgentDown"),
    _by("alertmanager-killed", killed("alertmanager"), "AlertmanagerDown", late=True),
    _of("receiver-refuses", "AlertsNotDelivered", late=True, lasts=40),
    _of("broken-rule", "RuleEvaluationFailing"),
    # Late: at the beginning there was no backup, and what that took of the budget has to be forgotten first.
    _of("backups-gone", "BackupTooOld", hidden=("BackupFreshnessBurn",), lasts=30),
)
