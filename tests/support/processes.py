"""`simplicity` commands as real processes, with logs that can be waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SIMPLICITY = (sys.executable, "-c", "from runbooks.cli import main; main()")


def simplicity(
    *arguments: str, environment: Mapping[str, str], timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*SIMPLICITY, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | dict(environment),
    )


class Running:
    """A command that goes on, its standard error in a file."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as target:
            self.process = subprocess.Popen(
                [*SIMPLICITY, *arguments], stderr=target, env=os.environ | dict(environment)
            )

    def lines(self) -> list[dict[str, Any]]:
        # The last line may be in the middle of being written.
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]

    def wait_for(self, message: str, *, within: float, **fields: object) -> dict[str, Any]:
        """Return the first log line with this message and these fields, at the latest after `within` seconds."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for line in self.lines():
                if line["message"] == message and fields.items() <= line.items():
                    return line
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.01)
        raise AssertionError(f"no {message!r} with {fields} within {within} s:\n{self.log.read_text()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextmanager
def running(*arguments: str, environment: Mapping[str, str], log: Path) -> Iterator[Running]:
    """A command for the time of a `with`; it is ended whatever happens there."""
    command = Running(arguments, environment, log)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.kill()
