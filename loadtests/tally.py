"""What became of the requests: counts and times that add up over seconds, users and processes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from loadtests.answers import FAILED, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TICK: Final = 0.0001  # seconds: the unit of a bucket
# A time is rounded up to the end of its bucket, so no quantile is better than what was: 0.1 ms wide below 0.1 s, 1 ms
# below 1 s, then 10 ms. Ends are multiples of the width, so "within 20 ms" is counted exactly.
_FINE, _MIDDLE = 1_000, 10_000
REASONS = 100  # different ones that are kept


@dataclass(slots=True)
class Tally:
    """`requests` by (user, route, outcome), `durations` by (user, route, bucket), `reasons` by (route, reason).

    Durations are those of all requests but the limited ones: a refusal says nothing about the service. `unasked`, by
    (route, whether there was an answer at last, bucket), are the questions that users would have asked while they
    waited: a service that stands still is asked little, and would else be seen as bad only by that little.
    """

    requests: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    durations: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    unasked: Counter[tuple[str, bool, int]] = field(default_factory=Counter)

    def add(self, user: str, route: str, outcome: Outcome, seconds: float, reason: str = "") -> None:
        """Count a request."""
        self.requests[user, route, outcome.value] += 1
        if outcome is not Outcome.LIMITED:
            self.durations[user, route, bucket(seconds)] += 1
        if outcome in FAILED:
            self._because(route, reason, 1)

    def add_unasked(self, route: str, waits: Iterable[float], *, answered: bool) -> None:
        """Count questions that were not asked; `waits` are the seconds that each would have waited."""
        self.unasked.update((route, answered, bucket(seconds)) for seconds in waits)

    def merge(self, other: Tally) -> None:
        """Add what another one counted."""
        self.requests.update(other.requests)
        self.durations.update(other.durations)
        self.unasked.update(other.unasked)
        for (route, reason), count in other.reasons.items():
            self._because(route, reason, count)

    def drain(self) -> Tally:
        """Return what was counted so far, and begin anew."""
        taken = Tally(self.requests, self.durations, self.reasons, self.unasked)
        self.requests, self.durations, self.reasons, self.unasked = Counter(), Counter(), Counter(), Counter()
        return taken

    def count(self, *outcomes: Outcome, route: str = "", user: str = "") -> int:
        """Return how many requests ended so, or at all; of one route or user where they are given."""
        wanted = {outcome.value for outcome in outcomes or Outcome}
        return sum(
            number
            for (by, at, outcome), number in self.requests.items()
            if outcome in wanted and route in {"", at} and user in {"", by}
        )

    @property
    def failed(self) -> int:
        """How many requests the service did not answer, or wrongly."""
        return self.count(*FAILED)

    @property
    def routes(self) -> list[str]:
        """All routes that were asked."""
        return sorted({route for _, route, _ in self.requests})

    @property
    def users(self) -> list[str]:
        """All users that asked."""
        return sorted({user for user, _, _ in self.requests})

    def times(self, *, user: str = "", route: Callable[[str], bool] = bool) -> Times:
        """Return the times of requests: of a user, and of the routes of which `route` is true."""
        found: Counter[int] = Counter()
        for (by, at, end), number in self.durations.items():
            if user in {"", by} and route(at):
                found[end] += number
        return Times(found)

    def times_unasked(self, *, route: Callable[[str], bool] = bool) -> Times:
        """Return what the questions that were not asked would have waited, of the routes of which `route` is true."""
        found: Counter[int] = Counter()
        for (at, _, end), number in self.unasked.items():
            if route(at):
                found[end] += number
        return Times(found)

    @property
    def unasked_and_unanswered(self) -> int:
        """How many questions were not asked while there was no answer to be had."""
        return sum(number for (_, answered, _), number in self.unasked.items() if not answered)

    def rows(self) -> dict[str, list[list[Any]]]:
        """Return it as JSON has it."""
        return {
            "requests": [[*key, number] for key, number in self.requests.items()],
            "durations": [[*key, number] for key, number in self.durations.items()],
            "reasons": [[*key, number] for key, number in self.reasons.items()],
            "unasked": [[*key, number] for key, number in self.unasked.items()],
        }

    @classmethod
    def of(cls, rows: dict[str, Any]) -> Tally:
        """Return a tally that went as JSON."""
        made = cls()
        for user, route, outcome, number in rows["requests"]:
            made.requests[user, route, outcome] += number
        for user, route, end, number in rows["durations"]:
            made.durations[user, route, end] += number
        for route, reason, number in rows["reasons"]:
            made.reasons[route, reason] += number
        for route, answered, end, number in rows["unasked"]:
            made.unasked[route, answered, end] += number
        return made

    def _because(self, route: str, reason: str, count: int) -> None:
        key = (route, reason[:200])
        self.reasons[key if key in self.reasons or len(self.reasons) < REASONS else ("", "others")] += count


@dataclass(frozen=True, slots=True)
class Times:
    """How many requests took at most how long, by the end of a bucket in tenths of a millisecond."""

    ends: Counter[int]

    @property
    def number(self) -> int:
        """How many requests."""
        return self.ends.total()

    def quantile(self, share: float) -> float | None:
        """Return the seconds within which this share (0 to 1) of requests was answered, None where there are none."""
        wanted = math.ceil(round(share * self.number, 6))
        passed = 0
        for end in sorted(self.ends):
            passed += self.ends[end]
            if passed >= max(1, wanted):
                return round(end * TICK, 4)
        return None

    def within(self, seconds: float) -> int:
        """Return how many requests took at most so long; exact where it is a whole number of buckets."""
        limit = round(seconds / TICK, 6)
        return sum(number for end, number in self.ends.items() if end <= limit)

    def with_others(self, others: Times) -> Times:
        """Return these and others together."""
        return Times(self.ends + others.ends)

    @property
    def seconds(self) -> float:
        """What all requests took together, rounded up as they are."""
        return sum(end * number for end, number in self.ends.items()) * TICK


def waits_of_unasked(waited: float, pace: float, asking: float) -> list[float]:
    """Return what the questions would have waited that a user did not ask, all in seconds.

    It waited `waited` for an answer, asks each `pace` where it need not wait, and would have gone on for `asking`.
    """
    number = max(0, math.ceil(round(min(waited, asking) / pace, 6)) - 1)
    return [waited - pace * (each + 1) for each in range(number)]


def bucket(seconds: float) -> int:
    """Return the end of the bucket of a time, in tenths of a millisecond."""
    ticks = max(1, math.ceil(round(seconds / TICK, 6)))
    width = 1 if ticks <= _FINE else 10 if ticks <= _MIDDLE else 100
    return -(-ticks // width) * width
