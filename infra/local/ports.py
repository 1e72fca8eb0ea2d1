"""Which TCP ports the envelope listens on: its defaults, or others when those are taken."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.local.layout import EnvelopeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LOOPBACK = "127.0.0.1"
# Below the kernel's range for outgoing connections (32768 and up), which would take a port between choice and use.
FALLBACK_RANGE = range(20_000, 32_000)
HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a component listens on, and the number it would like."""

    name: str
    default: int


def choose(
    ports: Iterable[Port],
    *,
    remembered: Mapping[str, int],
    usable: Callable[[int], bool],
    fallback: Iterable[int],
    only_fallback: bool = False,
) -> dict[str, int]:
    """Return a number for each port: the remembered one, else the default, else the first usable fallback.

    `usable` is asked once at most for a number that is not yet given away; `only_fallback` leaves the defaults out.
    Raises EnvelopeError when nothing is left.
    """
    chosen: dict[str, int] = {}
    rest = iter(fallback)
    for port in ports:
        wishes = [remembered[port.name]] if port.name in remembered else []
        if not only_fallback:
            wishes.append(port.default)
        found = next((n for n in wishes if n not in chosen.values() and usable(n)), None)
        if found is None:
            found = next((n for n in rest if n not in chosen.values() and usable(n)), None)
        if found is None:
            raise EnvelopeError(
                f"no free TCP port on {LOOPBACK} for {port.name}: {port.default} and every other one allowed are taken;"
                " stop what listens there, or allow others with SIMPLICITY_PORT_RANGE=LOW-HIGH"
            )
        chosen[port.name] = found
    return chosen


def fallback_ports(setting: str | None) -> tuple[list[int], bool]:
    """Return the numbers to fall back to, in the order to try, and whether they are the only ones allowed.

    `setting` is SIMPLICITY_PORT_RANGE, "LOW-HIGH" inclusive; raises EnvelopeError when it is none.
    """
    if not setting:
        numbers = list(FALLBACK_RANGE)
        # Shuffled: envelopes that start at the same moment would otherwise race for the same number.
        random.shuffle(numbers)
        return numbers, False
    low, _, high = setting.partition("-")
    try:
        numbers = list(range(int(low), int(high) + 1))
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 1 or numbers[-1] > HIGHEST_PORT:
        raise EnvelopeError(f"SIMPLICITY_PORT_RANGE={setting!r} is no range of ports; write it as 20000-20100")
    return numbers, True


def is_free(number: int) -> bool:
    """Say whether a server could listen on `number` of the loopback address now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # As servers do: a port in TIME_WAIT after our own `down` is free for them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, number))
            probe.listen(1)
        except OSError:
            return False
    return True


@dataclass(slots=True)
class Reservations:
    """Keeps other envelopes off the ports that this one has chosen and does not listen on yet.

    A reservation is a bound abstract unix socket: visible on the whole machine, gone with its process.
    Two `up` at the same moment would otherwise both find the defaults free.
    """

    stack: ExitStack = field(default_factory=ExitStack)

    def take(self, number: int) -> bool:
        """Reserve `number`; False when another `up` has it."""
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0simplicity-port-{number}")
        except OSError:
            holder.close()
            return False
        self.stack.callback(holder.close)
        return True

    def close(self) -> None:
        """Give all reservations back."""
        self.stack.close()


def find(
    ports: Iterable[Port], *, remembered: Mapping[str, int], ours: frozenset[int], reservations: Reservations
) -> dict[str, int]:
    """Choose a number for each port on this machine; `ours` are those that our own processes listen on already."""
    numbers, only = fallback_ports(os.environ.get("SIMPLICITY_PORT_RANGE"))

    def usable(number: int) -> bool:
        return number in ours or (is_free(number) and reservations.take(number))

    return choose(ports, remembered=remembered, usable=usable, fallback=numbers, only_fallback=only)
