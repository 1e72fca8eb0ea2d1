"""Values as people read them, and the ticks of axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from dashboards.model import Unit

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
PERCENT = 100.0
NEARLY_ALL = 0.99
# Steps, largest first: from how much on, divided by what, and the sign behind it.
Steps: TypeAlias = "tuple[tuple[float, float, str], ...]"
SECONDS: Final[Steps] = (
    (2 * DAY, DAY, "d"),
    (2 * HOUR, HOUR, "h"),
    (2 * MINUTE, MINUTE, "min"),
    (1.0, 1.0, "s"),
    (1e-3, 1e-3, "ms"),
    (0.0, 1e-6, "µs"),
)
BYTES: Final[Steps] = tuple(
    (2.0 ** (10 * n), 2.0 ** (10 * n), f"{sign}iB/s") for n, sign in ((4, "T"), (3, "G"), (2, "M"), (1, "K"))
)
LARGE: Final[Steps] = ((1e9, 1e9, "G"), (1e6, 1e6, "M"))
TIME_STEPS: Final = tuple(float(n) for n in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200)) + tuple(
    float(n) for n in (10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000)
)
RATES: Final = {Unit.PER_SECOND: "/s", Unit.OPERATIONS_PER_SECOND: "ops/s"}
# Where values differ by less than this share of the largest, an axis from zero on would show a flat line.
FLAT = 0.2
# A threshold further away than this many times the largest value is named, not drawn: it would flatten the curves.
REACH = 2.5


@dataclass(frozen=True, slots=True)
class Axis:
    """From where to where an axis goes, and its ticks with what stands at them."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


def formatted(value: float, unit: Unit) -> str:
    """Return a value with its unit."""
    if unit is Unit.BOOLEAN:
        return "on" if value else "off"
    factor, sign = _scale(abs(value), unit)
    # What is missing to the whole is what matters of a share close to it.
    return _behind(_digits(value / factor, 3 if unit is Unit.RATIO and NEARLY_ALL < value < 1 else 0), sign)


def ago(moment: float, now: float) -> str:
    """Return how long before `now` a moment was, or how long after it will be; 0 is never."""
    if not moment:
        return "never"
    distance = now - moment
    factor, sign = _scale(max(1.0, abs(distance)), Unit.SECONDS)
    # Whole seconds and minutes; of hours and days a tenth still matters.
    text = _behind(f"{abs(distance) / factor:,.{0 if factor < HOUR else 1}f}", sign)
    return f"{text} ago" if distance > -1 else f"in {text}"


def value_axis(low: float, high: float, unit: Unit, lines: tuple[float, ...] = ()) -> Axis:
    """Return the axis for values from `low` to `high`, with the thresholds in reach."""
    if unit is Unit.BOOLEAN:
        return Axis(-0.1, 1.1, ((0.0, "off"), (1.0, "on")))
    reach = max(abs(low), abs(high))
    near = [line for line in lines if reach == 0 or abs(line) <= REACH * reach]
    low, high = min([low, *near]), max([high, *near])
    spread = high - low
    if not (low > 0 and 0 < spread < FLAT * high):
        low, high = min(0.0, low), max(0.0, high)
    high = high if high > low else low + 1
    spread = high - low
    top = high + 0.08 * spread
    if unit is Unit.RATIO and high <= 1:
        top = min(top, 1.02)
    low = low - 0.08 * spread if low != 0 else 0.0
    return Axis(low, top, _ticks(low, top, unit))


def time_axis(start: float, end: float, most: int = 6) -> Axis:
    """Return the axis of a range of time, in UTC."""
    step = next((step for step in TIME_STEPS if (end - start) / step <= most), TIME_STEPS[-1])
    first = math.ceil(start / step) * step
    count = max(0, math.floor((end - first) / step) + 1)
    moments = [first + n * step for n in range(count)]
    return Axis(start, end, tuple((moment, _clock(moment, step)) for moment in moments))


def _clock(moment: float, step: float) -> str:
    at = datetime.fromtimestamp(moment, UTC)
    if step < MINUTE:
        return f"{at:%H:%M:%S}"
    # A day's first tick says which day begins.
    return f"{at:%b %d}" if step >= DAY or moment % DAY == 0 else f"{at:%H:%M}"


def _ticks(low: float, high: float, unit: Unit) -> tuple[tuple[float, str], ...]:
    step = _step((high - low) / 4, unit)
    first = math.ceil(low / step - 1e-9)
    values = [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]
    factor, sign = _scale(max((abs(value) for value in values), default=0.0), unit)
    places = max(0, -math.floor(math.log10(step / factor) + 1e-9))
    # A step of 2.5 needs one more place than its size says.
    places += 0 if math.isclose(round(step / factor, places), step / factor) else 1
    return tuple((value, _behind(f"{value / factor:,.{places}f}", sign)) for value in values)


def _step(rough: float, unit: Unit) -> float:
    if unit is Unit.SECONDS and rough > DAY:
        return DAY * _step(rough / DAY, Unit.NUMBER)
    if unit is Unit.SECONDS and rough >= 1:
        return next(step for step in TIME_STEPS if step >= rough)
    if unit is Unit.BYTES_PER_SECOND and rough >= 1:
        return float(2.0 ** math.ceil(math.log2(rough)))
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * (1 - 1e-9))


def _scale(size: float, unit: Unit) -> tuple[float, str]:
    """Return what values of a size are divided by, and the sign behind them."""
    if unit is Unit.RATIO:
        return 1 / PERCENT, "%"
    if unit is Unit.SECONDS:
        steps, last = SECONDS, (1.0, "s")
        if size == 0:
            return last
    elif unit is Unit.BYTES_PER_SECOND:
        steps, last = BYTES, (1.0, "B/s")
    else:
        steps, last = LARGE, (1.0, "")
    factor, sign = next(((factor, sign) for least, factor, sign in steps if size >= least), last)
    return factor, f"{sign} {RATES.get(unit, '')}".strip()


def _digits(value: float, least: int = 0) -> str:
    """Return a number with all its digits before the point, and behind it as many as make three, or `least`."""
    if value == 0:
        return "0"
    if float(value).is_integer():
        return f"{value:,.0f}"
    places = max(least, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(places, 6)}f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def _behind(number: str, sign: str) -> str:
    return f"{number} {sign}" if sign else number
