"""The monitoring itself."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.prove.observability.faults.processes import stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.prove.observability.stage import Stage


@contextmanager
def receiver_refuses(stage: Stage) -> Iterator[None]:
    """The receiver refuses what it is sent, while there is something to send."""
    stage.refusal.touch()
    try:
        with stopped("valkey-exporter")(stage):
            yield
    finally:
        stage.refusal.unlink()


@contextmanager
def broken_rule(stage: Stage) -> Iterator[None]:
    """A rule is loaded that can be read and not be evaluated."""
    rules = stage.layout.data / "prometheus" / "rules" / "own"
    rules.mkdir(exist_ok=True)
    broken = rules / "broken.yaml"
    broken.write_text(
        "groups: [{name: broken, rules: [{record: broken, expr: 'up * on(cluster) up'}]}]\n", encoding="utf-8"
    )
    try:
        stage.process("prometheus").send_signal(signal.SIGHUP)
        yield
    finally:
        broken.unlink()
        stage.process("prometheus").send_signal(signal.SIGHUP)
