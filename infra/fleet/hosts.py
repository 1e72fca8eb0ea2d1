"""One host: made, booted, shut down, cut off its power, removed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from infra.fleet import network
from infra.fleet.image import USER
from infra.fleet.programs import PATH, run
from infra.local.layout import EnvelopeError

if TYPE_CHECKING:
    from infra.fleet.image import Images
    from infra.fleet.plan import Machine, Plan
    from infra.fleet.storage import Storage

BOOT = Path(__file__).with_name("boot.sh")
PACKAGES_AT = "/srv/packages"
POWER_OFF = signal.SIGRTMIN + 4  # what systemd, as PID 1, takes as the order to shut down
SHUT_DOWN_SECONDS = 30.0
KILLED_SECONDS = 10.0
POLL_SECONDS = 0.1
# What lies on a file system of this machine and not in the overlay, which skips syncs: what databases must not lose.
DISKS = {"database": ("/var/lib/postgresql", "/var/lib/etcd"), "monitoring": ("/var/lib/etcd",)}


class Process(NamedTuple):
    """The process that is a host: its number may be another's one day, its birth (seconds since 1970) is not."""

    pid: int
    born: float

    def found(self) -> psutil.Process | None:
        """Return the process where it lives."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.born) < 1 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


def make(plan: Plan, host: Machine, storage: Storage, images: Images) -> None:
    """Write what a host is before its first boot: its name, its key, who may enter, where its packages come from."""
    here = storage.host(host.name)
    upper = here / "upper"
    for directory in ("root", "work"):
        (here / directory).mkdir(parents=True)
    for path in DISKS.get(host.role, ()):
        _disk(storage, host, path).mkdir(parents=True)
    # Directories are merged with the base's, and have their modes from here.
    for directory, mode in (("etc/ssh", 0o755), (f"home/{USER}", 0o700), (f"home/{USER}/.ssh", 0o700)):
        (upper / directory).mkdir(parents=True)
        (upper / directory).chmod(mode)
    _write(upper / "etc/hostname", f"{host.name}\n")
    _write(upper / "etc/hosts", hosts_file(plan))
    # Signatures were checked when they were downloaded; nothing but this directory is ever asked.
    (upper / "etc/apt").mkdir()
    _write(upper / "etc/apt/sources.list", f"deb [trusted=yes] file:{PACKAGES_AT} ./\n")
    key = upper / "etc/ssh/ssh_host_ed25519_key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", str(key)])
    keys = upper / f"home/{USER}/.ssh/authorized_keys"
    _write(keys, storage.key.with_suffix(".pub").read_text(encoding="utf-8"))
    user, group = _identity(images.base, USER)
    for owned in (upper / f"home/{USER}", keys.parent, keys):
        os.chown(owned, user, group)


def public_key(host: Machine, storage: Storage) -> str:
    """Return a host's own key, as its file of known hosts has it."""
    path = storage.host(host.name) / "upper/etc/ssh/ssh_host_ed25519_key.pub"
    return " ".join(path.read_text(encoding="utf-8").split()[:2])


def hosts_file(plan: Plan) -> str:
    """Return /etc/hosts of a plan: there is no name server on the bridge.

    Between the marks of the playbooks, which write these lines anew: a host of today's name may have another's address.
    """
    hosts = "".join(f"{plan.address(each.number)} {each.name}\n" for each in plan.hosts)
    return f"127.0.0.1 localhost\n# BEGIN hosts of the environment\n{hosts}# END hosts of the environment\n"


def boot(plan: Plan, host: Machine, storage: Storage, images: Images) -> Process:
    """Boot a host; it is there when its SSH answers."""
    here = storage.host(host.name)
    binds = [f"--bind-ro={images.packages}:{PACKAGES_AT}"]
    binds += [f"--bind={_disk(storage, host, path)}:{path}" for path in DISKS.get(host.role, ())]
    spaces = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    it = [f"simplicity-{plan.prefix}", host.name, str(images.base), str(here), network.namespace(plan, host)]
    with console(host, storage).open("ab") as written:
        started = subprocess.Popen(
            [*spaces, "bash", str(BOOT), *it, *binds],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": PATH},
        )
    return Process(started.pid, psutil.Process(started.pid).create_time())


def last_words(host: Machine, storage: Storage) -> str:
    """Return the last line that a host has written to its console."""
    lines = console(host, storage).read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "its console is empty")


def console(host: Machine, storage: Storage) -> Path:
    """Return the file with what a host has written to its console."""
    return storage.host(host.name) / "console.log"


def order_off(process: Process) -> None:
    """Order a host to shut down, as its power button would."""
    with suppress(psutil.NoSuchProcess):
        living = process.found()
        # Below ours: the shell of boot.sh, systemd-nspawn, and below that the host's own PID 1.
        below = living.children(recursive=True) if living else []
        for guest in [child for child in below if child.name() == "systemd"][:1]:
            guest.send_signal(POWER_OFF)


def shut_down(process: Process) -> None:
    """Order a host to shut down and wait for it; its power is cut where it does not."""
    order_off(process)
    living = process.found()
    if living is not None and not _gone(living, SHUT_DOWN_SECONDS):
        cut(process)


def cut(process: Process) -> None:
    """Cut a host's power: all of its processes are killed at once. What it had written, synced or not, stays."""
    living = process.found()
    if living is not None:
        with suppress(psutil.NoSuchProcess):
            living.kill()
        if not _gone(living, KILLED_SECONDS):
            raise EnvelopeError(f"process {process.pid} does not end, though it was killed")


def _gone(process: psutil.Process, within: float) -> bool:
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        with suppress(psutil.Error, ChildProcessError):
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                process.wait(0)  # one of our own children would stay in the table
                return True
            time.sleep(POLL_SECONDS)
            continue
        return True
    return False


def _disk(storage: Storage, host: Machine, path: str) -> Path:
    return storage.host(host.name) / "disks" / path.strip("/").replace("/", "-")


def _identity(base: Path, user: str) -> tuple[int, int]:
    for line in (base / "etc/passwd").read_text(encoding="utf-8").splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if name == user:
            return int(uid), int(gid)
    raise EnvelopeError(f"{base} has no user {user}; delete it, and it is made anew")


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
