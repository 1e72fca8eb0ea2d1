"""Values and axes as people read them."""

from __future__ import annotations

import pytest

from dashboards.model import Unit
from dashboards.render_units import ago, formatted, time_axis, value_axis

NOW = 1_796_025_600.0


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, Unit.SECONDS, "0 s"),
        (0.000_25, Unit.SECONDS, "250 µs"),
        (0.0123, Unit.SECONDS, "12.3 ms"),
        (1.5, Unit.SECONDS, "1.5 s"),
        (119, Unit.SECONDS, "119 s"),
        (-600, Unit.SECONDS, "-10 min"),
        (93_600, Unit.SECONDS, "26 h"),
        (259_200, Unit.SECONDS, "3 d"),
        (895_600, Unit.NUMBER, "895,600"),
        (12_500_000, Unit.NUMBER, "12.5 M"),
        (0.9995, Unit.RATIO, "99.95 %"),
        (0, Unit.RATIO, "0 %"),
        (141.24, Unit.PER_SECOND, "141 /s"),
        (2_500_000, Unit.OPERATIONS_PER_SECOND, "2.5 M ops/s"),
        (512, Unit.BYTES_PER_SECOND, "512 B/s"),
        (1_610_612_736, Unit.BYTES_PER_SECOND, "1.5 GiB/s"),
        (2_048, Unit.BYTES_PER_SECOND, "2 KiB/s"),
        (1, Unit.BOOLEAN, "on"),
        (0, Unit.BOOLEAN, "off"),
    ],
)
def test_a_value_stands_with_a_unit_of_its_size(value: float, unit: Unit, text: str) -> None:
    assert formatted(value, unit) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [(0, "never"), (NOW, "0 s ago"), (NOW - 35.7, "36 s ago"), (NOW - 9_000, "2.5 h ago"), (NOW + 7_300, "in 2.0 h")],
)
def test_a_moment_is_told_by_its_distance(moment: float, text: str) -> None:
    assert ago(moment, NOW) == text


@pytest.mark.parametrize(
    ("low", "high", "unit", "labels"),
    [
        (0.002, 0.045, Unit.SECONDS, ["0 ms", "20 ms", "40 ms"]),
        (30, 400, Unit.SECONDS, ["0 min", "2 min", "4 min", "6 min"]),
        (0, 1.8e9, Unit.SECONDS, ["0 d", "10,000 d", "20,000 d"]),
        (0, 300_000, Unit.SECONDS, ["0 d", "1 d", "2 d", "3 d"]),
        (895_600, 895_660, Unit.NUMBER, ["895,600", "895,620", "895,640", "895,660"]),
        (3e8, 1.2e9, Unit.BYTES_PER_SECOND, ["0.0 GiB/s", "0.5 GiB/s", "1.0 GiB/s"]),
        (0.2, 0.78, Unit.RATIO, ["0 %", "25 %", "50 %", "75 %"]),
        (-0.2, 0.6, Unit.RATIO, ["-25 %", "0 %", "25 %", "50 %"]),
        (0, 1, Unit.BOOLEAN, ["off", "on"]),
        (0, 0, Unit.PER_SECOND, ["0.0 /s", "0.5 /s", "1.0 /s"]),
    ],
)
def test_an_axis_has_round_ticks_from_zero_unless_that_would_flatten_the_curves(
    low: float, high: float, unit: Unit, labels: list[str]
) -> None:
    axis = value_axis(low, high, unit)
    assert [text for _, text in axis.ticks] == labels
    assert axis.low <= low
    assert axis.high >= high
    assert all(axis.low <= value <= axis.high for value, _ in axis.ticks)


def test_a_threshold_in_reach_is_on_the_axis_and_one_far_away_does_not_flatten_the_curves() -> None:
    assert value_axis(0.01, 0.015, Unit.SECONDS, (0.02,)).high >= 0.02
    assert value_axis(0.01, 0.015, Unit.SECONDS, (2.0,)).high < 0.1
    assert value_axis(0, 0, Unit.SECONDS, (2.0,)).high >= 2, "without any values it is all there is to show"


def test_the_times_axis_says_clock_times_and_where_a_day_begins() -> None:
    hour = ["07:00", "07:10", "07:20", "07:30", "07:40", "07:50", "08:00"]
    assert [text for _, text in time_axis(NOW - 3_600, NOW).ticks] == hour
    assert "Nov 30" in [text for _, text in time_axis(NOW - 86_400, NOW).ticks]
    assert time_axis(NOW - 60, NOW).ticks[0][1] == "07:59:00"
    assert {text[:3] for _, text in time_axis(NOW - 6 * 86_400, NOW).ticks} == {"Nov"}
