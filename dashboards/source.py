"""Prometheus, asked for what a picture shows."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prometheus_api_client.exceptions import PrometheusApiClientException
from prometheus_api_client.prometheus_connect import PrometheusConnect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TIMEOUT_SECONDS = 5.0
# What is shown of a message that Prometheus, or something in its place, answers.
LONGEST_MESSAGE = 300
# On how a query could be written; that an answer may be incomplete it says otherwise.
ADVICE = "PromQL info"


class SourceError(Exception):
    """Prometheus gave no data: one line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Series:
    """A series of a range: `points` are (seconds since the epoch, value), in order, without NaN and infinity."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A series at one moment."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Source:
    """A Prometheus at a URL. `warnings` gathers what it says beside its answers: results that may be incomplete.

    A connection a query: an object may be asked by many threads.
    """

    url: str
    timeout: float = TIMEOUT_SECONDS
    warnings: list[str] = field(default_factory=list)

    def range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """Return what a query gives from `start` to `end`, each `step` seconds; all are whole. Raises SourceError."""
        moments = (datetime.fromtimestamp(round(moment), UTC) for moment in (start, end))
        found = self._asked(expr, lambda client: client.custom_query_range(expr, *moments, f"{step:g}"))
        return [Series(each["metric"], _points(each["values"])) for each in found]

    def instant(self, expr: str, at: float | None = None) -> list[Sample]:
        """Return what a query gives at a moment, by default now. Raises SourceError."""
        when = {} if at is None else {"time": f"{at:.3f}"}
        found = self._asked(expr, lambda client: client.custom_query(expr, when))
        samples = [Sample(each["metric"], float(each["value"][1])) for each in found]
        return [sample for sample in samples if math.isfinite(sample.value)]

    def _asked(self, expr: str, ask: Callable[[Any], Any]) -> list[Any]:
        # Its own way of trying again makes six seconds of a 503 and hides the answer; its own time-out is none.
        client: Any = PrometheusConnect(
            self.url,
            retry=0,
            timeout=self.timeout,  # type: ignore[arg-type] # requests takes parts of seconds
        )
        session = client._session  # noqa: SLF001 - giving it another one would take requests, which only it asks for
        # A proxy for the outer world must not stand between us and what we ask.
        session.trust_env = False
        session.hooks["response"].append(self._note)
        try:
            found = ask(client)
            # A number alone comes as a list too: of a moment and the number.
            return found if all(isinstance(each, dict) for each in found) else _refused(expr)
        except PrometheusApiClientException as error:
            raise SourceError(f"{self.url}: {_said(str(error))}; the query is {_short(expr)}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            # requests' errors are OSErrors; an answer that is no JSON is a ValueError.
            raise SourceError(f"{self.url} does not answer as Prometheus does ({_short(_root(error))})") from None
        finally:
            client.close()

    def _note(self, response: Any, **_: object) -> None:  # noqa: ANN401 - a response of requests
        """Keep the warnings of an answer: the client itself throws them away."""
        try:
            answer = response.json()
        except ValueError:
            return
        told = answer.get("warnings", ()) if isinstance(answer, dict) else ()
        for warning in (each for each in told if not str(each).startswith(ADVICE)):
            if _short(str(warning)) not in self.warnings:
                self.warnings.append(_short(str(warning)))


def _points(values: list[tuple[float, str]]) -> tuple[tuple[float, float], ...]:
    points = ((float(at), float(value)) for at, value in values)
    return tuple((at, value) for at, value in points if math.isfinite(value))


def _refused(expr: str) -> list[Any]:
    raise SourceError(f"gives no series, and a panel shows series; the query is {_short(expr)}")


def _said(text: str) -> str:
    """Return what Prometheus says is wrong: of `HTTP Status Code 400 (b'{...}')` the error in the JSON."""
    found = re.fullmatch(r"HTTP Status Code (\d+) \(b(?P<quote>['\"])(?P<body>.*)(?P=quote)\)", text, re.DOTALL)
    if found is None:
        return _short(text)
    try:
        # repr() of bytes has written a backslash as two.
        said = json.loads(found["body"].encode().decode("unicode_escape"))["error"]
    except (ValueError, KeyError, TypeError):
        said = found["body"]
    return f"HTTP {found[1]}: {_short(str(said))}"


def _root(error: BaseException) -> str:
    """Return the innermost reason of an error: requests wraps those of the system several times."""
    while isinstance(error.args[0] if error.args else None, Exception):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    return str(reason if isinstance(reason, Exception) else error) or type(error).__name__


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"
