"""Which hosts a fleet has, and their addresses: the shape of staging and production, small."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from itertools import count
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["database", "application", "monitoring", "balancer"]

# Interfaces are called `v-PREFIX-HOST`, and the kernel gives their names 15 characters.
NAME = re.compile(r"[a-z][a-z0-9]{0,5}")
PREFIX = re.compile(r"[a-z][a-z0-9]{0,4}")
CONTROL, VIRTUAL = 1, 10  # the numbers in the network of this machine, and of what the balancers share
NETWORK = IPv4Network("10.88.0.0/24")
SPARE = range(100, 200)  # for hosts that are added later


@dataclass(frozen=True, slots=True)
class Machine:
    """One host: `number` is its address within the network."""

    name: str
    role: Role
    number: int


HOSTS = (
    Machine("db1", "database", 11),
    Machine("db2", "database", 12),
    Machine("app1", "application", 21),
    Machine("app2", "application", 22),
    Machine("mon1", "monitoring", 31),
    Machine("lb1", "balancer", 41),
    Machine("lb2", "balancer", 42),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet; its prefix is in the name of all that it leaves in the kernel. Raises ValueError for bad names."""

    prefix: str = "lab"
    network: IPv4Network = NETWORK
    hosts: tuple[Machine, ...] = field(default=HOSTS)

    def __post_init__(self) -> None:
        if not PREFIX.fullmatch(self.prefix):
            raise ValueError(f"prefix {self.prefix!r}: a letter, then up to four letters or digits")
        for host in self.hosts:
            if not NAME.fullmatch(host.name):
                raise ValueError(f"host {host.name!r}: a letter, then up to five letters or digits")
        if len({host.name for host in self.hosts}) < len(self.hosts):
            raise ValueError("two hosts have one name")
        if len({host.number for host in self.hosts} | {CONTROL, VIRTUAL}) < len(self.hosts) + 2:
            raise ValueError("two hosts have one address")

    def address(self, number: int) -> str:
        """Return the address of that number."""
        return str(self.network[number])

    @property
    def control(self) -> str:
        """This machine's address on the bridge."""
        return self.address(CONTROL)

    @property
    def virtual(self) -> str:
        """The address that the balancers share."""
        return self.address(VIRTUAL)

    def named(self, name: str) -> Machine:
        """Return a host; raises KeyError with the names that there are."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(f"there is no host {name}; there are {', '.join(host.name for host in self.hosts)}")

    def fresh(self, role: Role) -> Machine:
        """Return a further host of a role, its name and address taken by nobody; raises ValueError when all are."""
        stem = next(host.name.rstrip("0123456789") for host in HOSTS if host.role == role)
        names, numbers = {host.name for host in self.hosts}, {host.number for host in self.hosts}
        number = next((each for each in SPARE if each not in numbers), None)
        if number is None:
            raise ValueError(f"the network has no address left for another {stem}")
        return Machine(next(name for i in count(1) if (name := f"{stem}{i}") not in names), role, number)

    def of(self, role: Role) -> tuple[Machine, ...]:
        """Return the hosts of a role."""
        return tuple(host for host in self.hosts if host.role == role)
