"""Alerts of who tries to get in, counted where keys and tokens are checked."""

from __future__ import annotations

from alerts.model import Alert, Group, Severity

# By the minute, as the thresholds are. A refusal because nothing could be checked is no fault of the credential.
_REFUSED = 'sum by (cluster) (rate(authentication_failures_total{reason!="unavailable"}[5m])) * 60'

GROUP = Group(
    name="security",
    alerts=(
        Alert(
            name="AuthenticationFailures",
            severity=Severity.CRITICAL,
            team="security",
            expr=f"{_REFUSED} > 50",
            hold="1m",
            reason=(
                "More than 50 a minute over five minutes are not people who mistype: keys are guessed, or one that "
                "many use has stopped being valid."
            ),
            summary="{{ $value | humanize }} keys and tokens a minute are refused in {{ $labels.cluster }}",
            description=(
                "An attack on all keys, or an outage for all clients of one: the reason's label and the security log "
                "tell which. Honest clients are served as before."
            ),
            runbook="answer-security",
            dashboard="api",
        ),
        Alert(
            name="FailedLogins",
            severity=Severity.WARNING,
            team="security",
            expr=f"{_REFUSED} > 10",
            hold="5m",
            reason="More than ten a minute for ten minutes is a client that was set up wrongly, or a patient guesser.",
            summary="{{ $value | humanize }} keys and tokens a minute are refused in {{ $labels.cluster }}",
            description="A client whose key or token does not work, or someone who tries keys; nobody else is hurt.",
            runbook="answer-security",
            dashboard="api",
        ),
        Alert(
            name="TokenIssueSpike",
            severity=Severity.WARNING,
            team="security",
            expr="""
                sum by (cluster) (rate(jwt_tokens_issued_total[5m])) * 60 > 30
                and sum by (cluster) (rate(jwt_tokens_issued_total[5m]))
                > 5 * sum by (cluster) (rate(jwt_tokens_issued_total[1d] offset 1h))
                and on (cluster) jwt_tokens_issued_total offset 25h
            """,
            hold="2m",
            reason=(
                "Five times the day before, so that growth is none; at least 30 a minute, so that the first clients of "
                "a quiet morning are none. The day ends an hour ago, or a spike would soon be its own measure; until "
                "that day is known as a whole, what is usual is not."
            ),
            summary="{{ $value | humanize }} tokens a minute are issued in {{ $labels.cluster }}",
            description=(
                "A key that has leaked, or a client that asks for a token with each request. Every token is valid "
                "until it ends."
            ),
            runbook="answer-security",
            dashboard="api",
        ),
    ),
)
