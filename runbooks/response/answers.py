"""Which runbook answers which alert. A test holds it equal to what the alerts themselves name."""

from __future__ import annotations

from typing import Final

ALERTS: Final[dict[str, tuple[str, ...]]] = {
    "answer-api-down": ("ApiDown", "NoApiInstance", "ApiNotReady", "BalancerDown", "VirtualAddressFault"),
    "answer-api-errors": ("HighErrorRate", "ApiAvailabilityBurn"),
    "answer-slow-api": ("HighResponseTime", "SlowResponses", "RemoteCallsSlow", "ApiLatencyBurn"),
    "answer-security": ("AuthenticationFailures", "FailedLogins", "TokenIssueSpike", "RateLimitStorm"),
    "answer-indexer-down": ("IndexerDown", "NoWriter", "NoIndexerStandby"),
    "answer-indexer-behind": ("IndexerNotAdvancing", "IndexerLagging", "IndexingFreshnessBurn"),
    "answer-reorg": ("ReorgTooDeep", "DeepReorg"),
    "answer-state-mismatch": ("StateHashMismatch",),
    "answer-node-down": ("BitcoinNodeDown", "BitcoinNodeStuck"),
    "answer-database-down": ("DatabaseDown", "DatabaseUnreachable"),
    "answer-database-pressure": (
        "ConnectionPoolFilling",
        "ConnectionPoolExhausted",
        "DatabaseConnectionsNearLimit",
        "LongTransaction",
        "Deadlocks",
        "TableBloat",
        "TransactionIdWraparound",
    ),
    "answer-replication": (
        "DatabaseLeadership",
        "FailoverPaused",
        "EtcdMemberDown",
        "NoDatabaseStandby",
        "ReplicationLagging",
    ),
    "answer-slow-database": ("SqlLatencyBurn",),
    "answer-cache-down": ("CacheDown", "RateLimiterDegraded"),
    "answer-backup-too-old": (
        "BackupTooOld",
        "BackupUnproven",
        "BackupUnusable",
        "BackupRepositoryAway",
        "BackupAgentDown",
        "BackupFreshnessBurn",
    ),
    "answer-wal-archiving": ("WalArchivingFailing", "WalSegmentsMissing"),
    "answer-audit-mismatch": ("AuditTrailMismatch", "AuditTrailNotCopied"),
    "answer-host-pressure": ("HighCpu", "HighMemory", "FileHandlesNearLimit"),
    "answer-disk-full": ("DiskFull", "DiskWillFill"),
    "answer-certificate": ("CertificateExpiring", "CertificateAboutToExpire"),
    "answer-unit-failed": ("UnitFailed",),
    "answer-clock-wrong": ("ClockWrong",),
    "answer-monitoring-down": (
        "TargetDown",
        "RuleEvaluationFailing",
        "AlertmanagerDown",
        "AlertsNotDelivered",
        "Watchdog",
    ),
}
ANSWERS: Final[dict[str, str]] = {alert: answer for answer, alerts in ALERTS.items() for alert in alerts}
# It always fires: it is well when it is heard, not when it is silent.
HEARTBEAT: Final = "Watchdog"


def looks_back(alert: str) -> bool:
    """Tell whether an alert is one of budgets: hours may pass before it is over, though the fault is."""
    return alert.endswith("Burn")
