"""The cloud program in tests: its resource graph without anything behind it, and with an emulator of AWS's API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from infra.cloud.rehearsal.emulator import emulator
from infra.cloud.rehearsal.lab import Lab
from infra.cloud.rehearsal.lab import lab as opened
from infra.cloud.settings import Settings, check
from infra.cloud.site import Site
from tests.infra.cloud.recording import Registered, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCOUNT, REGION, OTHER_REGION = "123456789012", "us-east-1", "us-west-2"
VALUES: dict[str, Any] = {
    "environment": "test",
    "region": REGION,
    "owner": "platform",
    "cost_center": "indexer",
    "monitoring": {"email": "oncall@example.com", "budget_usd": 1_000},
    "backups": {"replica_region": OTHER_REGION},
    "names": {"domain": "brc20.example.com"},
}


@dataclass(frozen=True)
class Places:
    """Sites whose settings differ from the usual ones."""

    def __call__(self, **changes: Any) -> Site:  # noqa: ANN401 - settings
        """Return a site; `database={"kind": "rds"}` changes a part of a group, and RDS has no readers then."""
        values = {**VALUES}
        for name, value in changes.items():
            values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
        if changes.get("database", {}).get("kind") == "rds":
            values["database"].setdefault("readers", 0)
        return Site(check(values), ACCOUNT, REGION, tuple(f"{REGION}{zone}" for zone in "abc"))


@pytest.fixture(scope="session")
def settings() -> Settings:
    return check(VALUES)


@pytest.fixture(scope="session")
def at() -> Places:
    return Places()


@pytest.fixture(scope="session")
def site(at: Places) -> Site:
    return at()


@pytest.fixture
def planned() -> Callable[[Callable[[], None]], list[Registered]]:
    """What a program would make: every resource with its inputs, nothing behind it."""
    return recorded


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with emulator() as address:
        yield address


@pytest.fixture
def lab(endpoint: str, tmp_path: Path) -> Iterator[Lab]:
    """A stack at the emulator: up, plan, drifts, inject_each, destroy."""
    with opened(endpoint, tmp_path / "state.json", "test", REGION) as made:
        yield made
        made.unprotect()
        made.destroy()
