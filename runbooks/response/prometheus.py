"""What Prometheus says of an environment at this moment: every question has a time-out, every error is one line."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.environment import Environment

SECONDS = 5.0
# In an expression it stands for the matchers that single the environment out.
HERE = "HERE"


class PrometheusError(Exception):
    """A question without an answer: one line that says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A series and its value now."""

    labels: Mapping[str, str]
    value: float


def matchers(environment: Environment, *, or_without: bool = False) -> str:
    """Return the matchers of an environment's labels; `or_without`: a series that lacks such a label counts too."""
    labels = environment.metrics.labels.items()
    if or_without:
        return ",".join(f"{name}=~{json.dumps(_literally(value) + '|')}" for name, value in labels)
    return ",".join(f"{name}={json.dumps(value)}" for name, value in labels)


def _literally(value: str) -> str:
    return "".join(f"\\{each}" if each in r"\.+*?()|[]{}^$" else each for each in value)


def ask(environment: Environment, expression: str) -> list[Sample]:
    """Return the samples of an expression, in which HERE stands for the environment. Raises PrometheusError.

    HERE comes last between the braces: an environment without labels leaves a comma behind, which is allowed there.
    """
    data = get(environment, "query", query=expression.replace(HERE, matchers(environment)))
    try:
        result = data["result"] if data["resultType"] == "vector" else [{"metric": {}, "value": data["result"]}]
        return [Sample(dict(each["metric"]), float(each["value"][1])) for each in result]
    except (KeyError, TypeError, ValueError, IndexError):
        raise PrometheusError(f"{environment.metrics.url}: answers no samples to {expression!r}") from None


def value(environment: Environment, expression: str) -> float:
    """Return the one value of an expression, NaN where it has none. Raises PrometheusError."""
    return next((sample.value for sample in ask(environment, expression)), math.nan)


def get(environment: Environment, path: str, **parameters: str) -> Any:  # noqa: ANN401 - each path answers its own shape
    """Return the data that `/api/v1/PATH` answers. Raises PrometheusError."""
    base = environment.metrics.url
    try:
        # trust_env off: a proxy for the outer world must not get what is asked of this environment.
        answer = httpx2.get(f"{base}/api/v1/{path}", params=parameters, timeout=SECONDS, trust_env=False)
        body = answer.json()
        if body["status"] != "success":
            raise PrometheusError(f"{base}: refuses the question: {_line(body.get('error', 'it does not say why'))}")
        return body["data"]
    except httpx2.HTTPError as error:
        raise PrometheusError(f"{base}: does not answer ({_line(error) or type(error).__name__})") from None
    except (ValueError, KeyError, TypeError):
        raise PrometheusError(f"{base}: answers {answer.status_code} with what is no answer of Prometheus") from None


def _line(text: object) -> str:
    return " ".join(str(text).split())[:200]
