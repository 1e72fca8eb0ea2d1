"""A throw-away envelope, driven as a person drives it: by the command line."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.local.layout import Layout, layout
from infra.local.processes import envelope_processes
from infra.local.state import Overall, picture
from infra.local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

SIMPLICITY = Path(sys.executable).with_name("simplicity")


def own_ports() -> dict[str, str]:
    """Return settings by which an envelope has ports that no other one prefers.

    One that starts while a service of ours is away for a moment would else take its port. Below those that the kernel
    gives to outgoing connections.
    """
    low = random.randrange(20_000, 31_900, 100)
    return {"SIMPLICITY_PORT_RANGE": f"{low}-{low + 99}"}


@dataclass(frozen=True)
class Throwaway:
    """`home` becomes SIMPLICITY_HOME; with `user`, commands run as that uid and without a HOME."""

    home: Path
    user: int | None = None
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return Layout(home=self.home, tools=self.home / "tools")

    def run(self, *arguments: str, timeout: float = 120, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(arguments), check=False, **self._how(settings), timeout=timeout)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command(arguments), **self._how({}))

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        command = [str(SIMPLICITY), *arguments]
        if self.user is None:
            return command
        # The checkout or its Python may lie below a directory that only root may enter, where an ordinary user would
        # have their own: this user may read there, and write nowhere.
        become = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return [*become, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", *command]

    def _how(self, settings: dict[str, str]) -> dict[str, Any]:
        # Unpacked tools are shared with the checkout's own envelope: fetching them is not what these tests are about.
        own = {"SIMPLICITY_HOME": str(self.home), "SIMPLICITY_TOOLS": str(layout().tools)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIMPLICITY_")}
        if self.user is not None:
            inherited.pop("HOME", None)
        environment = inherited | own | self.settings | settings
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return pipes | {"text": True, "cwd": "/", "env": environment}

    def up(self, *arguments: str) -> dict[str, Any]:
        done = self.run("up", "--json", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def status(self) -> dict[str, Any]:
        return asdict(picture(self.layout))

    def is_up(self) -> bool:
        return picture(self.layout).overall is Overall.RUNNING

    def pids(self) -> dict[str, int]:
        return {name: state.pid for name, state in Supervisor(self.layout).states().items()}

    def supervisor(self) -> int:
        return int((self.layout.run / "supervisord.pid").read_text())

    def processes(self) -> list[int]:
        return [process.pid for process in envelope_processes(self.layout.data)]

    def wait(self, happens: Callable[[], bool], *, within: float) -> None:
        deadline = time.monotonic() + within
        while not happens():
            assert time.monotonic() < deadline, f"not within {within} s: {self.status()}"
            time.sleep(0.1)
