"""What stands in queries is put in, and the metrics they read are known by name."""

from __future__ import annotations

import pytest

from dashboards.metrics import interpolate, metric_names


def filled(expr: str, cluster: str = "local") -> str:
    return interpolate(expr, cluster=cluster, interval=60, range=3_600)


def test_variables_are_put_in() -> None:
    assert filled('rate(a{cluster="$cluster"}[$__rate_interval])') == 'rate(a{cluster="local"}[1m])'
    assert filled("increase(a[$__range])") == "increase(a[1h])"
    assert interpolate("rate(a[$__rate_interval])", cluster="", interval=7.5, range=1) == "rate(a[7500ms])"


def test_a_name_of_a_cluster_cannot_leave_its_quotes() -> None:
    assert filled('up{cluster="$cluster"}', 'x"} or up{a="\\') == 'up{cluster="x\\"} or up{a=\\"\\\\"}'
    assert metric_names('up{cluster="$cluster"}') == {"up"}


def test_a_variable_that_nobody_fills_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\$interval is no variable of a query; there are \$cluster, "):
        filled("rate(a[$interval])")


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ('sum by (a) (rate(x_total{cluster="$cluster"}[$__rate_interval])) / clamp_min(y, 1)', {"x_total", "y"}),
        ('topk(5, -a) > bool 3 or (b and on (c) {__name__="d:e"})', {"a", "b", "d:e"}),
        ("max_over_time(deriv(a[$__rate_interval] offset 5m)[$__range:])", {"a"}),
        ("histogram_quantile(scalar(q), sum by (le) (rate(h_bucket[$__rate_interval])))", {"q", "h_bucket"}),
        ("count_values by (x) ('v', a)", {"a"}),
        ("time()", set()),
    ],
)
def test_the_metrics_of_a_query_are_found(expr: str, names: set[str]) -> None:
    assert metric_names(expr) == names
