"""Cases of the alerts of who tries to get in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Firing
from tests.alerts.series import CLUSTER, fires, fires_when_due, growing, series, silent

if TYPE_CHECKING:
    from tests.alerts.case import Case

HERE = {"cluster": CLUSTER}


def _refusals(first: str, second: str = "0x60") -> dict[str, str]:
    """Return the counters of two processes; what could not be checked is no failure."""
    name = "authentication_failures_total"
    return {
        series(name, "api", "api-1", reason="signature"): first,
        series(name, "api", "api-2", reason="unknown"): second,
        series(name, "api", "api-2", reason="unavailable"): growing((60, 900)),
    }


def _refused(count: str) -> Firing:
    return Firing(summary=f"{count} keys and tokens a minute are refused in main", labels=HERE)


def _failures() -> tuple[Case, ...]:
    name = "AuthenticationFailures"
    burst = _refusals("0x9 300x20")
    return (
        *fires_when_due(
            name, "51 a minute", _refusals("0x11 128x20", "0x11 127x20"), _refused("51"), due="7m", interval="30s"
        ),
        *silent(name, "50 a minute", _refusals("0x9 250x20"), at="13m"),
        *fires(name, "a burst of four minutes ago", burst, _refused("60"), at="14m"),
        *silent(name, "a burst of six minutes ago", burst, at="16m"),
    )


def _logins() -> tuple[Case, ...]:
    name = "FailedLogins"
    until = _refusals(growing((12, 40), (20, 0)))
    return (
        *fires_when_due(
            name, "10.5 a minute", _refusals(growing((30, 6)), growing((30, 4.5))), _refused("10.5"), due="10m"
        ),
        *silent(name, "ten a minute", _refusals(growing((12, 49)), growing((12, 1))), at="1h", interval="5m"),
        *fires(name, "until three minutes ago", until, _refused("16"), at="15m"),
        *silent(name, "until six minutes ago", until, at="18m"),
    )


# Samples of a day are five minutes apart: so many of them an hour.
HOUR = 12


def _issued(*phases: tuple[int, float]) -> dict[str, str]:
    """Return the counters of two processes that issue so many tokens a minute together, for so many samples."""
    half = growing(*((samples, rate * 5 / 2) for samples, rate in phases))
    return {series("jwt_tokens_issued_total", "api", name): half for name in ("api-1", "api-2")}


def _tokens(count: str) -> Firing:
    return Firing(summary=f"{count} tokens a minute are issued in main", labels=HERE)


def _spike() -> tuple[Case, ...]:
    name, day = "TokenIssueSpike", 24 * HOUR
    # A day and an hour of which all is known, 70 minutes, and then these at once.
    first = {series("jwt_tokens_issued_total", "api", each): "0x1569 80x20" for each in ("api-1", "api-2")}
    thirty = {series("jwt_tokens_issued_total", "api", "api-1"): "0x1569 150x20"}
    before = (26 * HOUR, 12)
    return (
        *fires_when_due(name, "after a day without any", first, _tokens("32"), due="1572m"),
        *fires(name, "four minutes after they were issued", first, _tokens("32"), at="1574m"),
        *silent(name, "thirty a minute, after a day without any", thirty, at="1574m"),
        *silent(name, "seven minutes after they were issued", first, at="1577m"),
        *silent(name, "a new service, as busy as from its start", _issued((5 * HOUR, 40)), at="4h", interval="5m"),
        *silent(
            name,
            "of the day before one half is not known, five times the other",
            _issued((14 * HOUR, 6.4), (10, 32)),
            at="855m",
            interval="5m",
        ),
        # 26 hours, and a quarter of one.
        *fires(
            name, "5.1 times the day before", _issued(before, (10, 61.2)), _tokens("61.2"), at="1575m", interval="5m"
        ),
        *silent(name, "five times the day before", _issued((26 * HOUR, 6.4), (10, 32)), at="1575m", interval="5m"),
        *silent(name, "it has become less", _issued(before, (3, 120), (9, 40)), at="1580m", interval="5m"),
        *fires(
            name,
            "it has lasted for three quarters of an hour",
            _issued(before, (20, 61)),
            _tokens("61"),
            at="1605m",
            interval="5m",
        ),
        *silent(name, "it has lasted for almost two hours", _issued(before, (30, 61)), at="1665m", interval="5m"),
        *fires(
            name,
            "half of the day before was quiet",
            _issued((14 * HOUR, 0), (12 * HOUR, 12), (10, 45)),
            _tokens("45"),
            at="1575m",
            interval="5m",
        ),
        *fires(
            name,
            "the day before the last one was busy",
            _issued((day, 48), before, (10, 66)),
            _tokens("66"),
            at="3015m",
            interval="5m",
        ),
    )


CASES: tuple[Case, ...] = (*_failures(), *_logins(), *_spike())
