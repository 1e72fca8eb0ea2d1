"""The way to the hosts: by SSH over the bridge, with a key and known hosts that were made with them."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from infra.fleet import hosts, network
from infra.fleet.image import USER
from infra.fleet.programs import run
from infra.local.layout import EnvelopeError, write_private

if TYPE_CHECKING:
    from infra.fleet.plan import Machine, Plan
    from infra.fleet.storage import Storage

UP_SECONDS = 30.0
POLL_SECONDS = 0.2


def make_key(storage: Storage) -> None:
    """Make the key that opens all hosts."""
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "simplicity-fleet", "-f", str(storage.key)])


def write_config(plan: Plan, storage: Storage) -> None:
    """Write what ssh needs to reach the hosts, and only them."""
    known = [f"{host.name},{plan.address(host.number)} {hosts.public_key(host, storage)}" for host in plan.hosts]
    write_private(storage.known_hosts, "\n".join(known) + "\n")
    lines = []
    for host in plan.hosts:
        lines += [f"Host {host.name}", f"  HostName {plan.address(host.number)}"]
    lines += [
        "Host *",
        f"  User {USER}",
        f"  IdentityFile {storage.key}",
        "  IdentitiesOnly yes",
        f"  UserKnownHostsFile {storage.known_hosts}",
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        "  ConnectTimeout 5",
        "  ServerAliveInterval 5",
        "  ServerAliveCountMax 3",
        "  LogLevel ERROR",
    ]
    write_private(storage.ssh_config, "\n".join(lines) + "\n")


def command(plan: Plan, storage: Storage, host: Machine, words: list[str]) -> list[str]:
    """Return the command that logs in to a host, or runs words there as its shell takes them."""
    return network.inside(plan, "ssh", "-F", str(storage.ssh_config), host.name, *(["--", *words] if words else []))


def on_all(plan: Plan, storage: Storage, words: str) -> None:
    """Run a command on all hosts at once; raises EnvelopeError where it fails on one."""
    with ThreadPoolExecutor(len(plan.hosts)) as pool:
        list(pool.map(lambda host: run(command(plan, storage, host, [words])), plan.hosts))


def await_answer(plan: Plan, host: Machine, within: float = UP_SECONDS) -> None:
    """Wait until a host lets users in; raises EnvelopeError where it does not in time."""
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        if answers(plan, host):
            return
        time.sleep(POLL_SECONDS)
    raise EnvelopeError(f"{host.name} did not come up within {within:.0f} s")


def answers(plan: Plan, host: Machine) -> bool:
    """Say whether a host's SSH says who it is."""
    # A network namespace is a thread's: a child asks, and this process stays where it is.
    asked = "import socket,sys; s=socket.create_connection((sys.argv[1],22),2); s.settimeout(2); print(s.recv(4))"
    try:
        done = subprocess.run(
            network.inside(plan, "python3", "-c", asked, plan.address(host.number)),
            check=False,
            capture_output=True,
            text=True,
            timeout=5,
        )
    except subprocess.TimeoutExpired:
        return False
    return "SSH" in done.stdout
