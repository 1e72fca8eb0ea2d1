"""Where a fleet keeps its things: what is made once and kept, and what lasts as long as its hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from infra.local.layout import Layout


@dataclass(frozen=True, slots=True)
class Storage:
    """The paths of the fleet; `home` is absolute, and on a normal file system: the databases' disks lie there."""

    home: Path

    @property
    def cache(self) -> Path:
        """Base images and package repositories, by what they were made from; some 500 MB."""
        return self.home / "cache"

    @property
    def lock(self) -> Path:
        """Held while a command changes the fleet."""
        return self.home / "fleet.lock"

    @property
    def run(self) -> Path:
        """What is gone with the hosts; 0700."""
        return self.home / "run"

    @property
    def key(self) -> Path:
        """The key that opens all hosts, made anew for each fleet."""
        return self.run / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The hosts' own keys, made before they boot: nobody is trusted at first sight."""
        return self.run / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """What ssh and Ansible need to reach the hosts."""
        return self.run / "ssh_config"

    @property
    def secrets(self) -> Path:
        """One file a secret, 0600."""
        return self.run / "secrets"

    @property
    def pki(self) -> Path:
        """The private certificate authority of the fleet; 0700."""
        return self.run / "pki"

    @property
    def state(self) -> Path:
        """Which hosts there are, and the processes that are them."""
        return self.run / "fleet.json"

    @property
    def environment(self) -> Path:
        """The environment document that the runbooks read."""
        return self.run / "environment.json"

    @property
    def overrides(self) -> Path:
        """The settings that an operator has set otherwise here than they come."""
        return self.run / "overrides.yaml"

    @property
    def outside(self) -> Path:
        """What the services keep that an environment has from others; 0700."""
        return self.run / "outside"

    @property
    def store_certificate(self) -> Path:
        """The certificate of the object store, its own authority."""
        return self.outside / "store.pem"

    @property
    def store_key(self) -> Path:
        """Its key."""
        return self.outside / "store.key"

    def host(self, name: str) -> Path:
        """Return the directory of a host: `upper`, `work` and `root` of its overlay, its disks, its console."""
        return self.run / "hosts" / name


def storage(layout: Layout) -> Storage:
    """Return where the fleet of this SIMPLICITY_HOME lies."""
    return Storage(layout.home / "fleet")
