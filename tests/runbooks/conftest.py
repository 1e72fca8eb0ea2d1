"""An emulator of AWS, and an environment of each test's own in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cloud.rehearsal.emulator import emulator
from runbooks.drivers import aws
from tests.runbooks.drivers.cloud import Cloud, credentials, of_test

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    with emulator() as endpoint:
        yield endpoint


@pytest.fixture
def cloud(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """An environment of which nothing is there yet."""
    credentials(monkeypatch)
    yield of_test(aws_endpoint, request.node.nodeid)
    aws.forget()
