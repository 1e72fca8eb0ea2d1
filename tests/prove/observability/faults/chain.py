"""The chain: reorganisations, and more blocks than usual."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.prove.observability.faults.processes import stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.prove.observability.stage import Stage


@contextmanager
def reorg(stage: Stage) -> Iterator[None]:
    """The node changes to another branch, six blocks back, while the traffic looks on."""
    environment = stage.environment
    cookie = environment.secrets["node_rpc_cookie"].name
    with stopped("traffic")(stage):
        stage.until(lambda: not stage.pids()["traffic"], "traffic gone", within=30)
        command = ["traffic", "--reorg", "6", "--rpc-url", environment.endpoints.node_rpc, "--rpc-cookie-file", cookie]
        done = stage.run(*command)
        assert done.returncode == 0, done.stderr
    yield


@contextmanager
def blocks(stage: Stage) -> Iterator[None]:
    """Blocks full of operations are mined faster, by a second miner."""
    environment = stage.environment
    cookie = environment.secrets["node_rpc_cookie"].name
    with stopped("traffic")(stage):
        stage.until(lambda: not stage.pids()["traffic"], "traffic gone", within=30)
        miner = stage.begin(
            "traffic", "--rate", "5", "--ops", "20", "--rpc-url", environment.endpoints.node_rpc,
            "--rpc-cookie-file", cookie,
        )  # fmt: skip
        try:
            yield
        finally:
            miner.terminate()
            miner.communicate(timeout=30)
