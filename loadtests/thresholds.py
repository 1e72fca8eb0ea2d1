"""Whether the service level objectives were met under a load."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from loadtests.answers import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alerts.slo import Objective, Slo
    from loadtests.tally import Tally

ENOUGH: Final = 100  # requests below which a share of them says nothing
MANY_LIMITED: Final = 0.01  # the share of refused requests above which the service was not under the load asked for
# The objective counts what the service knows that it failed; a test also sees answers to another question.
RIGHT = 99.9  # percent
_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Judged:
    """One objective: what was measured (None: nothing), and what had to be. `unit` says of what both are."""

    name: str
    title: str
    measured: float | None
    limit: float
    unit: Literal["percent", "seconds", "requests"]
    met: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All objectives that a load test can tell. `void` are reasons for which it tells nothing about them."""

    judged: tuple[Judged, ...]
    void: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether all of them were met, and the test can tell."""
        return not self.void and all(each.met for each in self.judged)

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        if self.void:
            return f"not judged: {'; '.join(self.void)}"
        missed = [each.sentence for each in self.judged if not each.met]
        return "missed: " + "; ".join(missed) if missed else f"met: {'; '.join(each.sentence for each in self.judged)}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"met": self.met, "sentence": self.sentence, "objectives": [asdict(each) for each in self.judged]}


def judge(tally: Tally, objectives: Slo, problems: Sequence[str] = ()) -> Verdict:
    """Hold what was counted against the objectives. Requests that a rate limit refused count for none of them.

    `problems` are reasons for which what was counted is not what was.
    """
    asked = tally.count() - tally.count(Outcome.LIMITED)
    return Verdict(
        (
            _enough(asked),
            _availability(tally, asked, objectives["api-availability"]),
            _latency(tally, objectives["api-latency"]),
            _right(tally, asked),
        ),
        (*problems, *_limited(tally)),
    )


def is_counted(route: str) -> bool:
    """Whether the objective of latency is about a route: streams and bulk lists are meant to last."""
    return not route.endswith(("/events", "/all"))


def _limited(tally: Tally) -> tuple[str, ...]:
    limited, all_of_them = tally.count(Outcome.LIMITED), tally.count()
    if limited <= all_of_them * MANY_LIMITED:
        return ()
    share = f"{_PERCENT * limited / all_of_them:.1f} %"
    text = (
        f"{share} of requests were refused by the rate limit (429), so the load was not what was asked for: give more"
        " keys with --key-file, take fewer users, or have a test environment's API allow more (API_RATE_LIMITS,"
        " API_KEY_RATE_LIMITS)"
    )
    return (text,)


def _enough(asked: int) -> Judged:
    met = asked >= ENOUGH
    sentence = f"{asked} requests" if met else f"{asked} requests are not enough to tell, {ENOUGH} are"
    return Judged("requests", "Enough requests", asked, ENOUGH, "requests", met, sentence)


def _availability(tally: Tally, asked: int, objective: Objective) -> Judged:
    good = asked - tally.count(Outcome.SERVER_ERROR, Outcome.UNANSWERED)
    wanted = asked + tally.unasked_and_unanswered
    return _share(objective.name, objective.title, good, wanted, objective.target, "answered without an error of ours")


def _right(tally: Tally, asked: int) -> Judged:
    return _share("right-answers", "Right answers", asked - tally.count(Outcome.WRONG), asked, RIGHT, "right")


def _share(name: str, title: str, good: int, asked: int, target: float, what: str) -> Judged:  # noqa: PLR0913, PLR0917
    measured = _PERCENT * good / asked if asked else None
    # In whole requests: 99.9 % of 1 000 must not fail by a digit of the floating point.
    met = asked > 0 and round((asked - good) * _PERCENT, 6) <= round(asked * (_PERCENT - target), 6)
    said = "nothing was" if measured is None else f"{_percent(measured, met=met)} % were"
    return Judged(name, title, measured, target, "percent", met, f"{said} {what} (objective {target:g} %)")


def _latency(tally: Tally, objective: Objective) -> Judged:
    limit = objective.limit_seconds
    if limit is None:
        raise ValueError(f"objective {objective.name} has no limit_seconds")
    asked, target = tally.times(route=is_counted), objective.target / _PERCENT
    both = asked.with_others(tally.times_unasked(route=is_counted))
    # Questions that would have waited only a little must not make better what was: the worse of the two counts.
    measured = max((found for times in (asked, both) if (found := times.quantile(target)) is not None), default=None)
    met = measured is not None and measured <= limit
    percentile = f"p{objective.target:g}"
    said = f"{percentile} unknown" if measured is None else f"{percentile} {1000 * measured:.4g} ms"
    sentence = f"{said} (objective {1000 * limit:g} ms)"
    return Judged(objective.name, objective.title, measured, limit, "seconds", met, sentence)


def _percent(value: float, *, met: bool) -> str:
    # What missed its objective by little must not be rounded into having met it.
    return f"{value:.2f}" if met else f"{int(value * 10_000) / 10_000:.4f}".rstrip("0").rstrip(".")
