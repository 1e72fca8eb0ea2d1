"""What was asked for, row by row: severities, thresholds and times, compared with the rules as they are parsed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest

from alerts import rulebook
from alerts.later import LATER
from alerts.model import REAL, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING


@dataclass(frozen=True, slots=True)
class Row:
    """An alert, and what its rule must compare: a metric, by an operator, with a number; "" holds any time."""

    alert: str
    severity: Severity
    metric: str
    operator: str
    limit: float
    hold: str = ""


ROWS = (
    # What has to page.
    Row("ApiDown", CRITICAL, "up", "==", 0, "1m"),
    Row("HighErrorRate", CRITICAL, "haproxy_frontend_http_responses_total", ">", 0.05, "2m"),
    Row("DatabaseDown", CRITICAL, "pg_up", "==", 0),
    Row("HighResponseTime", CRITICAL, "http_request_duration_seconds_bucket", ">", 2),
    Row("AuthenticationFailures", CRITICAL, "authentication_failures_total", ">", 50),
    # What has to warn.
    Row("HighCpu", WARNING, "node_cpu_seconds_total", ">", 0.8, "5m"),
    Row("HighMemory", WARNING, "node_memory_MemAvailable_bytes", ">", 0.85, "5m"),
    Row("ConnectionPoolExhausted", WARNING, "database_connections_active", ">", 0.9),
    # The thresholds of the metrics to watch.
    Row("SlowResponses", WARNING, "http_request_duration_seconds_bucket", ">", 1),
    Row("ConnectionPoolFilling", WARNING, "database_connections_active", ">", 0.8),
    Row("FailedLogins", WARNING, "authentication_failures_total", ">", 10),
    Row("TokenIssueSpike", WARNING, "jwt_tokens_issued_total", ">", 30),
    Row("RemoteCallsSlow", WARNING, "remote_call_duration_seconds_bucket", ">", 0.1),
    Row("DiskFull", CRITICAL, "node_filesystem_avail_bytes", ">", 0.9),
    # What a fleet has beside that.
    Row("CertificateExpiring", WARNING, "simplicity_certificate_expires_timestamp_seconds", "<", 30 * 86_400),
    Row("NoIndexerStandby", WARNING, "simplicity_sync_role", "==", 0),
    Row("ReplicationLagging", WARNING, "patroni_xlog_replayed_location", ">", 16 * 2**20),
    Row("NoDatabaseStandby", CRITICAL, "patroni_sync_standby", "==", 0),
    Row("DatabaseLeadership", CRITICAL, "patroni_primary", "!=", 1),
    Row("FailoverPaused", WARNING, "patroni_is_paused", "==", 1),
    Row("EtcdMemberDown", WARNING, "up", "==", 0),
)
BY_THE_MINUTE = {"AuthenticationFailures", "FailedLogins", "TokenIssueSpike"}
PERCENTILES = {"HighResponseTime", "SlowResponses", "RemoteCallsSlow"}


def nodes(expr: Any) -> Iterator[Any]:  # noqa: ANN401 - the parser has no types
    found: list[Any] = []
    promql_parser.walk(expr, pre_visit=found.append)
    yield from found


def comparison(row: Row) -> Any:  # noqa: ANN401 - as above
    """Return what is compared with the row's number in the row's way, and has its metric."""
    (alert,) = rulebook.named(row.alert)
    compared = [
        node.lhs
        for node in nodes(promql_parser.parse(REAL.expression(alert.expr)))
        if isinstance(node, promql_parser.BinaryExpr)
        and str(node.op) == row.operator
        and isinstance(node.rhs, promql_parser.NumberLiteral)
        and node.rhs.val == row.limit
    ]
    fitting = [
        each
        for each in compared
        if any(isinstance(node, promql_parser.VectorSelector) and node.name == row.metric for node in nodes(each))
    ]
    assert fitting, f"{row.alert} does not compare {row.metric} {row.operator} {row.limit:g}: {alert.expr}"
    return fitting[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.alert)
def test_an_alert_that_was_asked_for_has_its_severity_threshold_and_time(row: Row) -> None:
    (alert,) = rulebook.named(row.alert)
    assert alert.severity is row.severity
    assert row.hold in {"", alert.hold}
    compared = comparison(row)
    numbers = [node.val for node in nodes(compared) if isinstance(node, promql_parser.NumberLiteral)]
    assert (60 in numbers) == (row.alert in BY_THE_MINUTE)
    assert (0.95 in numbers) == (row.alert in PERCENTILES)


def test_what_was_asked_for_and_is_not_there_yet_is_named_with_its_reason() -> None:
    assert [each.fault for each in LATER] == ["a certificate that was renewed, while the old one is still served"]
    assert all(each.reason and each.meanwhile and each.condition for each in LATER)
