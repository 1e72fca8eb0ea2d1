"""What the tests of the answers share: a context, an environment with a canned Prometheus, a call of a step."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from infra.environment import Database, Driver, SecretReference
from runbooks.engine.model import Context
from tests.runbooks.engine.support import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.engine.model import Runbook, Step
    from tests.support.canned import Canned

LABELS = {"cluster": "made-up"}


def context(here: Environment, folder: Path, **parts: Any) -> Context:  # noqa: ANN401 - any part of a context
    """The context of a step that has two minutes."""
    usual: dict[str, Any] = {"arguments": {}, "run": "r", "step": "step", "deadline": time.monotonic() + 120}
    return Context(environment=here, folder=folder, **(usual | parts))


def with_prometheus(url: str) -> Environment:
    """An environment of which only Prometheus may be there."""
    made = environment()
    return made.model_copy(update={"metrics": made.metrics.model_copy(update={"url": url, "labels": LABELS})})


def with_database(database_url: str, folder: Path, *, writer: str, reader: str) -> Environment:
    """An environment of a database that lets everybody in."""
    parts = urlsplit(database_url)
    names = ("database_writer_password", "database_reader_password", "database_backup_password")
    for name in names:
        (folder / name).write_text("not asked for")
    made = environment()
    where = Database(
        host="127.0.0.1",
        port=parts.port or 0,
        name=parts.path[1:],
        writer_role=writer,
        reader_role=reader,
    )
    return made.model_copy(
        update={
            "endpoints": made.endpoints.model_copy(update={"database": where}),
            "secrets": {name: SecretReference(source="file", name=str(folder / name)) for name in names},
            "drivers": {"backup": Driver(kind="physical", settings={"role": "gone"})},
        }
    )


def says(server: Canned, expression: str, *samples: tuple[Mapping[str, str], float]) -> None:
    """Let the canned Prometheus answer an expression."""
    result = [{"metric": dict(labels), "value": [1.0, str(value)]} for labels, value in samples]
    answer = {"status": "success", "data": {"resultType": "vector", "result": result}}
    server.answers[f"/api/v1/query?{urlencode({'query': expression})}"] = (200, answer)


def step_of(book: Runbook, name: str) -> Step:
    (found,) = [each for each in book.steps if each.name == name]
    return found


def carried_out(step: Step, at: Context) -> tuple[Any, str]:
    """The facts of a step and what its check saw."""
    at = replace(at, step=step.name)
    facts: dict[str, Any] = dict(step.act(at) or {})
    return facts, step.check(replace(at, facts={**at.facts, **facts}))
