"""Rehearsals that stay: an emulator that goes on after the command, and what is known of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.cloud.rehearsal.emulator import EmulatorError, command, settings_of, wait_for

_START_SECONDS = 60
# What is collected while its process lives complains; these are meant to live.
_STARTED: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Kept:
    """A rehearsal's directory: its state, and the emulator that it lies in."""

    directory: Path

    @property
    def state(self) -> Path:
        """Where the state is kept."""
        return self.directory / "state.json"

    @property
    def emulator(self) -> Path:
        """Where the emulator's address and process are written down."""
        return self.directory / "emulator.json"

    def endpoint(self) -> str | None:
        """Return the address of the emulator; None when none runs."""
        known = self._known()
        return str(known["endpoint"]) if known is not None and "endpoint" in known and _is_ours(known) else None

    def start(self) -> str:
        """Start an emulator that stays, and return its address."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.state.unlink(missing_ok=True)
        said, images = self.directory / "emulator.log", self.directory / "images.json"
        with said.open("wb") as log:
            process = subprocess.Popen(
                command(0),
                env=settings_of(images),
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        _STARTED.append(process)
        try:
            # Before it answers: whoever is killed while waiting leaves none behind that `stop` does not find.
            known = {"pid": process.pid, "born": _born(process.pid)}
            self.emulator.write_text(json.dumps(known))
            endpoint = self._endpoint_of(process, said)
            wait_for(endpoint)
            self.emulator.write_text(json.dumps({**known, "endpoint": endpoint}))
        except BaseException:
            process.kill()
            process.wait()
            self.emulator.unlink(missing_ok=True)
            raise
        return endpoint

    def stop(self) -> bool:
        """End the emulator and forget what it held; False when none runs."""
        known = self._known()
        there = known is not None and _is_ours(known)
        if known is not None and there:
            os.kill(int(known["pid"]), signal.SIGKILL)
            for process in _STARTED:
                if process.pid == known["pid"]:
                    process.wait()
        for path in (self.emulator, self.state):
            path.unlink(missing_ok=True)
        return there

    def _known(self) -> dict[str, Any] | None:
        try:
            value: dict[str, Any] = json.loads(self.emulator.read_text())
        except (OSError, ValueError):
            return None
        return value

    def _endpoint_of(self, process: subprocess.Popen[bytes], said: Path) -> str:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            line = said.read_text().partition("\n")[0].strip()
            if line.isdigit():
                return f"http://127.0.0.1:{line}"
            time.sleep(0.05)
        raise EmulatorError(f"the emulator of AWS does not start: see {said}")


def _is_ours(known: dict[str, Any]) -> bool:
    """Whether the process is the one that was started: a process id comes round again."""
    return known.get("born") is not None and _born(int(known["pid"])) == known["born"]


def _born(pid: int) -> str | None:
    """Return when a process began, in ticks since the machine did; None when it is gone. Source: proc(5)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
