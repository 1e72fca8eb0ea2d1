"""Fixtures of the trail's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.trail import Connection
    from tests.support.buckets import Buckets
    from tests.support.postgres import Cluster


@pytest.fixture(scope="session")
def audited_url(cluster: Cluster, migrated_template: str) -> str:
    return cluster.new_database(migrated_template)


@pytest.fixture
def database_url(audited_url: str) -> str:
    """A database with this release's schema and an empty trail; one for all tests, as nothing else in it is changed."""
    with psycopg.connect(audited_url) as owner:
        owner.execute("ALTER TABLE ops.audit DISABLE TRIGGER append_only")
        owner.execute("TRUNCATE ops.audit")
        owner.execute("ALTER TABLE ops.audit ENABLE TRIGGER append_only")
    return audited_url


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Buckets]:
    from tests.support.buckets import buckets  # noqa: PLC0415 - moto is slow to import, and few tests need it

    with buckets() as running:
        yield running


@pytest.fixture
def s3(s3_server: Buckets, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    """A server that boto3 finds by the environment."""
    s3_server.configure(monkeypatch)
    return s3_server
