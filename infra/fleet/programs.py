"""The programs of the system that a fleet needs, and how they are run."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from infra.local.layout import EnvelopeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Program: the package of Debian that has it.
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "apt-ftparchive": "apt-utils",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def check() -> None:
    """Raise EnvelopeError, with what to do, where a fleet cannot be on this system."""
    if os.geteuid() != 0:
        raise EnvelopeError(
            "a fleet needs root: it makes namespaces, a bridge and hosts; say `sudo` before the command"
        )
    missing = sorted({package for program, package in NEEDED.items() if shutil.which(program, path=PATH) is None})
    if missing:
        raise EnvelopeError(f"a fleet needs packages of the system: apt-get install {' '.join(missing)}")


def run(command: Sequence[str], *, within: float = 60.0, env: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it printed; raises EnvelopeError with its last words when it fails or hangs."""
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            env={**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", **(env or {})},
        )
    except subprocess.TimeoutExpired:
        raise EnvelopeError(f"{command[0]} has not finished in {within:.0f} s") from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise EnvelopeError(f"{' '.join(command[:4])}: {words[-1] if words else f'ended with {done.returncode}'}")
    return done.stdout
