"""Run a program against a monitor, in a context of its own."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from typing import TYPE_CHECKING, Any, Protocol

from pulumi.runtime import config as pulumi_config
from pulumi.runtime.mocks import MockEngine, MockSettings
from pulumi.runtime.settings import configure
from pulumi.runtime.stack import run_in_stack

from infra.cloud.rehearsal.steps import RehearsalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_QUIET = logging.getLogger("simplicity.rehearsal")


class Driving(Protocol):
    """What a program registers with: the methods that the SDK calls, and the end of a run."""

    project: str
    stack: str
    apply: bool

    def finish(self) -> None:
        """Hear that the program has ended well."""


def run(program: Callable[[], None], monitor: Driving, configuration: Mapping[str, Any]) -> None:
    """Run a program to its end, and delete what it does not want any more. Raises what it or a step raises."""
    contextvars.copy_context().run(_run, program, monitor, configuration)


def _run(program: Callable[[], None], monitor: Driving, configuration: Mapping[str, Any]) -> None:
    _QUIET.setLevel(logging.CRITICAL)
    pulumi_config.set_all_config({name: _text(value) for name, value in configuration.items()})
    configure(
        MockSettings(  # type: ignore[no-untyped-call]  # the SDK's own
            monitor=monitor,
            engine=MockEngine(_QUIET),
            project=monitor.project,
            stack=monitor.stack,
            dry_run=not monitor.apply,
            organization="organization",
            root_directory=".",
            parallel=1,
            legacy_apply_enabled=False,
            monitor_features=set(),
            outputs=set(),
            package_refs={},
            base_providers_by_ref={},
            callbacks=None,
        )
    )
    try:
        with asyncio.Runner() as runner:
            # What fails after the first failure is nobody's concern, and would be printed with its whole history.
            runner.get_loop().set_exception_handler(lambda *_: None)
            runner.run(run_in_stack(program))
    except Exception as error:  # noqa: BLE001 - a program raises what it will
        raise _cause(error) from None
    monitor.finish()


def _cause(error: BaseException) -> BaseException:
    """Return what a step said, or what the program raised: the SDK wraps it in errors of its own."""
    there: BaseException | None = error
    while there is not None:
        if isinstance(there, RehearsalError):
            return there
        there = there.__cause__ or there.__context__
    return error


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return a value as the engine hands it to a program: text, or JSON."""
    return value if isinstance(value, str) else json.dumps(value)
