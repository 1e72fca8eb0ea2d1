"""The service level objectives of `slo.yaml`, read and checked."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from alerts.model import Team

FILE = Path(__file__).with_name("slo.yaml")
PERCENT = 100.0


class SloError(Exception):
    """The objectives cannot be used: one line that says which and why."""


class Objective(BaseModel):
    """One objective: of requests (`total` with `good` or `bad`) or of moments (`moment` is 1 while it is missed).

    `target` is in percent. `limit_seconds` is what a request may take, for objectives of latency. Below `minimum_rate`
    requests a second no alert is raised. In expressions WINDOW stands for a range. Where it does not `page`, all its
    alerts are warnings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z]+(-[a-z]+)*$")
    title: str
    team: Team
    target: float = Field(gt=0, lt=100)
    reason: str
    dashboard: str
    runbook: str
    limit_seconds: float | None = Field(default=None, gt=0)
    total: str = ""
    good: str = ""
    bad: str = ""
    moment: str = ""
    minimum_rate: float = Field(default=0.0, ge=0)
    page: bool = True

    @model_validator(mode="after")
    def _is_of_requests_or_of_moments(self) -> Objective:
        of_requests = bool(self.total) and bool(self.good) != bool(self.bad)
        if of_requests == bool(self.moment) or (self.moment and (self.total or self.good or self.bad)):
            raise ValueError("give either total with one of good and bad, or moment")
        if of_requests and not self.minimum_rate:
            raise ValueError("give minimum_rate: at low traffic a single error would page")
        return self

    @property
    def budget(self) -> float:
        """The share of requests or moments that may be bad."""
        return round(1 - self.target / PERCENT, 9)


class Slo(BaseModel):
    """All objectives, and the time over which their budgets are counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: str
    objectives: tuple[Objective, ...]

    def __getitem__(self, name: str) -> Objective:
        """Return the objective of this name. Raises KeyError."""
        return next((each for each in self.objectives if each.name == name), None) or _missing(name)


def _missing(name: str) -> Objective:
    raise KeyError(name)


def read(path: Path = FILE) -> Slo:
    """Read a file of objectives. Raises SloError with one line."""
    try:
        value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Slo.model_validate(value)
    except (OSError, yaml.YAMLError) as error:
        raise SloError(f"{path}: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise SloError(f"{path}: {where}: {problem['msg'].lower()}") from None


@cache
def slo() -> Slo:
    """Return the objectives of this release."""
    return read()
