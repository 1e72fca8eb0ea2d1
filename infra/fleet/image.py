"""What hosts boot from: a base image and a package repository, each made once for what it consists of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.fleet.programs import run
from infra.local.tools import sites

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from infra.fleet.storage import Storage

SUITE = "trixie"
MAKING_SECONDS = 900.0

# What every Debian server has, what Ansible needs, and the slow parts of PostgreSQL's installation.
BASE = (
    "acl", "ca-certificates", "cron", "curl", "dbus", "gpg", "iproute2", "iputils-ping", "less", "libpam-systemd",
    "logrotate", "nftables", "openssh-server", "procps", "python3", "python3-apt", "python3-cryptography",
    "python3-psycopg2", "python3-venv", "rsync", "sudo", "systemd", "systemd-sysv",
    "libllvm19", "libxslt1.1", "postgresql-client-17", "postgresql-common", "ssl-cert",
)  # fmt: skip
# What the playbooks install, with all that the base lacks of what they need.
PACKAGES = (
    "chrony", "etcd-client", "etcd-server", "haproxy", "keepalived", "patroni", "pgbackrest", "pgbouncer",
    "postgresql-17", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter",
    "prometheus-pgbouncer-exporter", "prometheus-postgres-exporter", "prometheus-redis-exporter", "python3-etcd",
    "rsyslog", "rsyslog-gnutls", "unattended-upgrades", "valkey-server",
)  # fmt: skip
USER = "deploy"
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "console-getty.service", "e2scrub_all.timer", "getty.target",
    "man-db.timer",
)  # fmt: skip
# Run in the new system: `$1` is where it lies.
HOOKS = (
    'rm -f "$1"/etc/ssh/ssh_host_*; : > "$1"/etc/machine-id',
    f'chroot "$1" useradd --create-home --shell /bin/bash {USER}',
    f'echo "{USER} ALL=(ALL) NOPASSWD:ALL" > "$1"/etc/sudoers.d/{USER}; chmod 440 "$1"/etc/sudoers.d/{USER}',
    # Ansible's apt believes that lists as young as these need no update.
    'touch -d @0 "$1"/var/lib/apt/lists',
    f'for unit in {" ".join(MASKED)}; do ln -sf /dev/null "$1"/etc/systemd/system/$unit; done',
)
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")


@dataclass(frozen=True, slots=True)
class Images:
    """The directories that hosts boot from and install from."""

    base: Path
    packages: Path


def images(storage: Storage) -> Images:
    """Return both; what is missing is made (half a minute, root, and the network)."""
    made = base(storage)
    return Images(made, repository(storage, made))


def base(storage: Storage) -> Path:
    """Return the base image, a directory; made when it is missing (half a minute, and the network)."""
    final = storage.cache / f"base-{_key([SUITE, BASE, HOOKS, LEFT_OUT])}"
    return final if final.exists() else _made(final, _bootstrap)


def repository(storage: Storage, base_image: Path) -> Path:
    """Return the flat package repository, a directory; made when it is missing (seconds, and the network)."""
    final = storage.cache / f"packages-{_key([base_image.name, PACKAGES])}"
    return final if final.exists() else _made(final, lambda fresh: _collect(fresh, base_image))


def _key(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _made(final: Path, make: Callable[[Path], None]) -> Path:
    """Make a directory beside its place and then put it there: a killed command leaves nothing that looks complete."""
    fresh = final.with_name(f"{final.name}.new")
    _discard(fresh)
    final.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    make(fresh)
    fresh.rename(final)
    return final


def _discard(directory: Path) -> None:
    run(["rm", "-rf", "--one-file-system", str(directory)])


def _bootstrap(fresh: Path) -> None:
    site = sites()[0]
    run(
        [
            "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(BASE)}",
            *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
            '--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "0"',
            *(f"--customize-hook={hook}" for hook in HOOKS),
            SUITE, str(fresh), f"deb {site} {SUITE} main", f"deb {site} {SUITE}-updates main",
        ],
        within=MAKING_SECONDS,
    )  # fmt: skip


COLLECT = Path(__file__).with_name("collect.sh")


def _collect(fresh: Path, base_image: Path) -> None:
    fresh.mkdir()
    run(
        ["unshare", "--mount", "--propagation=private", "bash", str(COLLECT), str(base_image), str(fresh), *PACKAGES],
        within=MAKING_SECONDS,
    )
