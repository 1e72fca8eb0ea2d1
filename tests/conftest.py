"""Fixtures that more than one folder uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.postgres import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with Cluster.create() as running:
        yield running


@pytest.fixture(scope="session")
def migrated_template(cluster: Cluster) -> str:
    from indexer.store.schema import migrate  # noqa: PLC0415 - imports SQLAlchemy, which few tests need

    url = cluster.new_database()
    migrate(url)
    return url.rpartition("/")[2]


@pytest.fixture
def database_url(cluster: Cluster, migrated_template: str) -> str:
    """A fresh database with this release's schema."""
    return cluster.new_database(migrated_template)


@pytest.fixture
def empty_database_url(cluster: Cluster) -> str:
    """A fresh database without any schema."""
    return cluster.new_database()
