"""A page with a real Prometheus and a real Alertmanager behind it, which deliver to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from infra.environment import SecretReference
from tests.runbooks.operations.served import Served, served
from tests.runbooks.operations.stack import Stack, free_port, stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "hunter2-is-in-a-file"
WELL = """\
component_up{instance="api-1",job="api"} 1
cpu_share{instance="node-exporter",job="node"} 0.2
simplicity_api_lag_blocks{instance="api-1",job="api"} 3
slo:budget_remaining:ratio{slo="api-availability"} 0.62
slo:budget_exhaustion:seconds{slo="api-availability",window="1h"} 50000
slo:budget_exhaustion:seconds{slo="api-availability",window="3d"} +Inf
slo:budget_remaining:ratio{slo="api-latency"} 0.11
slo:budget_remaining:ratio{slo="indexing-freshness"} -0.2
"""
API_DOWN = WELL.replace('job="api"} 1', 'job="api"} 0', 1)
BUSY = WELL.replace("0.2\n", "0.97\n", 1)


@dataclass(frozen=True)
class Live:
    """The page and what is behind it."""

    page: Served
    stack: Stack
    document: Path


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    directory = tmp_path_factory.mktemp("live")
    document, port = directory / "environment.json", free_port()
    (directory / "secret").write_text(SECRET)
    reference = SecretReference(source="file", name=str(directory / "secret"))
    with stack(directory, f"http://127.0.0.1:{port}/alerts", WELL) as behind:
        environment = behind.environment()
        secrets = {"database_reader_password": reference, "node_rpc_cookie": reference}
        environment.model_copy(update={"secrets": secrets}).save(document)
        with served(directory / "home", document, port) as page:
            yield Live(page, behind, document)
