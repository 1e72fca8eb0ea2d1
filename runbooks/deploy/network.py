"""The network that the hosts are in, where it is not this machine's own: this process goes there."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING

from runbooks.deploy.errors import DeployError

if TYPE_CHECKING:
    from infra.environment import Environment

_CLONE_NEWNET = 0x40000000
_HERE = Path("/proc/thread-self/ns/net")


def enter(environment: Environment) -> None:
    """Let this thread, and those that it starts, see the hosts. Raises DeployError where it may not.

    A rehearsal's hosts are on a bridge in a namespace of its own; elsewhere nothing is done.
    """
    driver = environment.drivers.get("hosts")
    network = driver.settings.get("network") if driver else None
    if network is None:
        return
    try:
        descriptor = os.open(network, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise DeployError(
            f"{network}: the hosts' network is not there ({error.strerror}); `simplicity fleet up`"
        ) from None
    try:
        there, here = os.fstat(descriptor), _HERE.stat()
        if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
            return
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(descriptor, _CLONE_NEWNET) != 0:
            why = os.strerror(ctypes.get_errno())
            raise DeployError(f"{network}: this process may not enter the hosts' network ({why}); become root")
    finally:
        os.close(descriptor)
