"""An Alertmanager that tests of what fires and of silences share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from alerts import live
from alerts.alertmanager import Receivers, Webhook, configuration
from alerts.model import Scale
from tests.alerts.delivery.servers import Http, Server, alertmanager, http_server, until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def receiver() -> Iterator[Http]:
    with http_server("/alerts") as running:
        yield running


@pytest.fixture(scope="module")
def server(receiver: Http, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = configuration(Receivers(webhook=Webhook(url=f"{receiver.url}/alerts")), scale=Scale(factor=600))
    with alertmanager(tmp_path_factory.mktemp("live"), text) as running:
        yield running


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """The Alertmanager's URL; nothing fires and nothing is silenced before and after."""
    yield server.url
    over = datetime.now(UTC).isoformat()
    server.post(*({"labels": each["labels"], "startsAt": each["startsAt"], "endsAt": over} for each in server.alerts()))
    for each in live.silences(server.url):
        live.unsilence(server.url, each.id)
    until(lambda: not server.alerts(), within=10)
