"""Chains in databases of their own, and what was logged beside the requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from tests.support.api import App, Chain, chained, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, MutableMapping
    from typing import Any

    from tests.support.postgres import Cluster


@pytest.fixture(scope="module")
def chain(cluster: Cluster, migrated_template: str) -> Iterator[Chain]:
    """A chain that a module's tests move on; none of them counts on where it stands."""
    with chained(cluster.new_database(migrated_template)) as made:
        yield made


@pytest.fixture(scope="session")
def still(cluster: Cluster, migrated_template: str) -> Chain:
    """A chain that no test moves."""
    with chained(cluster.new_database(migrated_template)) as made:
        return made


@pytest.fixture
async def calm(still: Chain) -> AsyncIterator[App]:
    """The API of a chain that no test moves."""
    async with running(still.url) as made:
        yield made


@pytest.fixture
def said() -> Iterator[list[MutableMapping[str, Any]]]:
    """The service's own log lines; also spares a test the drawing of long traces."""
    with capture_logs() as lines:
        yield lines
