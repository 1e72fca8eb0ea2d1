"""What an alert must do with given series: fire with these labels and this summary, or stay silent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One instance of the alert: its labels besides alertname, severity and team (and `labels` of the rule)."""

    summary: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`series` in promtool's notation (`1x10`, `0+30x60`, `_x5`, `stale`), one sample each `interval`.

    `at` is when the alert is looked at, from the start of the series; no `firing`: it is silent then. Rules are
    evaluated as often as there are samples, or `every` so long: months are too many minutes. `recorded`: the values
    that recorded series, by their selectors, must then have.
    """

    title: str
    alert: str
    series: Mapping[str, str]
    at: str
    firing: tuple[Firing, ...] = ()
    interval: str = "1m"
    every: str = ""
    recorded: Mapping[str, float] = field(default_factory=dict)
