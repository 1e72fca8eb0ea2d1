"""What Prometheus answers, and every way in which it does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from runbooks.response.prometheus import PrometheusError, ask, matchers, value
from tests.runbooks.response.support import says, with_prometheus

if TYPE_CHECKING:
    from tests.support.canned import Canned

QUERY = "/api/v1/query?query=up"


def test_an_expression_is_of_the_environment(server: Canned) -> None:
    says(server, 'up{job="api",cluster="made-up"}', ({"instance": "api-1"}, 1.0))
    (sample,) = ask(with_prometheus(server.url), 'up{job="api",HERE}')
    assert (sample.labels, sample.value) == ({"instance": "api-1"}, 1.0)


def test_an_environment_is_singled_out_literally_and_may_be_left_unnamed() -> None:
    here = with_prometheus("http://127.0.0.1:9")
    odd = here.model_copy(update={"metrics": here.metrics.model_copy(update={"labels": {"cluster": 'a.b"c'}})})
    assert matchers(odd) == r'cluster="a.b\"c"'
    assert matchers(odd, or_without=True) == r'cluster=~"a\\.b\"c|"'
    bare = here.model_copy(update={"metrics": here.metrics.model_copy(update={"labels": {}})})
    assert matchers(bare) == ""


def test_a_scalar_and_nothing_at_all_have_a_value(server: Canned) -> None:
    here = with_prometheus(server.url)
    server.answers[QUERY] = (200, {"status": "success", "data": {"resultType": "scalar", "result": [1.0, "3"]}})
    assert value(here, "up") == 3
    says(server, "up")
    assert math.isnan(value(here, "up"))


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (400, {"status": "error", "error": "parse\nerror"}, "refuses the question: parse error"),
        (502, "<html>", "answers 502 with what is no answer of Prometheus"),
        (200, {"data": {}}, "answers 200 with what is no answer of Prometheus"),
        (200, {"status": "success", "data": {"resultType": "vector", "result": [{}]}}, "answers no samples to 'up'"),
    ],
)
def test_what_is_no_answer_is_one_line(server: Canned, status: int, answer: object, said: str) -> None:
    server.answers[QUERY] = (status, answer)
    with pytest.raises(PrometheusError) as caught:
        ask(with_prometheus(server.url), "up")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_prometheus_that_is_away_is_one_line() -> None:
    with pytest.raises(PrometheusError, match="does not answer"):
        ask(with_prometheus("http://127.0.0.1:9"), "up")
