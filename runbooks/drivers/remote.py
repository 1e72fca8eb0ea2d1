"""Commands on the hosts of an environment, over ssh: what all drivers of hosts share."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.environment import Environment, Host

DRIVER, SESSIONS = "ssh", "ssm"
# What ssh itself ends with: the command was not run, or nobody knows.
NO_CONNECTION = 255
MOST_WORDS = 300
# A control node's PATH need not have what only root runs.
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


class RemoteError(Exception):
    """A command on a host has failed: one line with the host, the command's name and its last words."""


class UnreachableError(RemoteError):
    """A host did not answer, or not in time: whether the command was run is not known."""


class Remote:
    """Runs commands on the hosts of an environment. Raises Refusal where it is not reached by ssh.

    A secret goes in by `stdin`, never among the words: those are seen in the process table of both sides.
    """

    def __init__(self, environment: Environment) -> None:
        driver = environment.drivers.get("hosts")
        if driver is not None and driver.kind == SESSIONS:
            raise Refusal(
                f"the hosts of {environment.name} are reached by Systems Manager, this command by ssh alone; give the"
                " document's driver hosts the kind ssh, and a config with a ProxyCommand that opens a session"
            )
        if driver is None or driver.kind != DRIVER:
            raise Refusal(f"the document of {environment.name} names no way to its hosts; write it anew")
        self._hosts = environment.hosts
        network, config = driver.settings.get("network"), driver.settings.get("config")
        self._enter = (
            *(("nsenter", f"--net={network}") if network else ()),
            "ssh",
            *(("-F", config) if config else ()),
            "-o",
            "BatchMode=yes",  # nobody is there to answer a question
        )

    def hosts(self, role: str) -> tuple[Host, ...]:
        """Return the hosts of a role; raises Refusal where there is none."""
        found = self._hosts.get(role, ())
        if not found:
            raise Refusal(f"the environment has no hosts of the role {role!r}; it has {', '.join(sorted(self._hosts))}")
        return found

    def command(self, host: str, argv: Sequence[str]) -> list[str]:
        """Return the command of this machine that runs `argv` on a host."""
        return [*self._enter, host, "--", shlex.join(argv)]

    def run(self, host: str, argv: Sequence[str], stdin: str | None = None, within: float = 60) -> str:
        """Run a command on a host, `within` seconds at the longest; return what it printed.

        Raises RemoteError where it fails, UnreachableError where the host does not answer or the time is over.
        """
        try:
            done = subprocess.run(
                self.command(host, argv),
                check=False,
                input=stdin or "",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=within,
                env={**os.environ, "PATH": PATH},
            )
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"{host}: {_name(argv)} has not ended within {within:.0f} s") from None
        except OSError as error:
            raise RemoteError(f"{self._enter[0]} cannot be run here: {error.strerror}") from None
        if done.returncode == NO_CONNECTION:
            raise UnreachableError(f"{host} does not answer: {_last(done.stderr) or 'no word'}")
        if done.returncode != 0:
            said = _last(done.stderr) or _last(done.stdout) or f"exit code {done.returncode}"
            raise RemoteError(f"{host}: {_name(argv)}: {said}")
        return done.stdout


def as_user(user: str, *argv: str) -> list[str]:
    """Return a command to be run as a user of the host, "root" among them."""
    return ["sudo", "-n", "-u", user, "--", *argv]


def _name(argv: Sequence[str]) -> str:
    """Return what a command is called, without what only says as whom it is run."""
    words = list(argv)
    if words[:1] == ["sudo"] and "--" in words:
        words = words[words.index("--") + 1 :]
    return words[0] if words else "the command"


def _last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1][:MOST_WORDS] if lines else ""
