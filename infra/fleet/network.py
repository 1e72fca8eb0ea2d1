"""The bridge of a fleet, in a network namespace of its own: nothing on it reaches the outside, nor is reached."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from infra.fleet.programs import run
from infra.local.layout import EnvelopeError

if TYPE_CHECKING:
    from infra.fleet.plan import Machine, Plan

BRIDGE = "br0"


def namespace(plan: Plan, host: Machine | None = None) -> str:
    """Return the name of the namespace of the bridge, or of a host."""
    return plan.prefix if host is None else f"{plan.prefix}-{host.name}"


def inside(plan: Plan, *command: str) -> list[str]:
    """Return the command that runs another one on the bridge."""
    return ["nsenter", f"--net=/run/netns/{namespace(plan)}", *command]


def spaces() -> set[str]:
    """Return the names of all network namespaces of this machine."""
    return {line.split()[0] for line in run(["ip", "netns", "list"]).splitlines() if line.strip()}


def create(plan: Plan) -> None:
    """Make the bridge. The hosts have no default route, and this machine's own network refuses theirs.

    Raises EnvelopeError where another fleet has the same prefix or network: the kernel lets one of them have it.
    """
    here = namespace(plan)
    try:
        run(["ip", "netns", "add", here])
    except EnvelopeError:
        raise EnvelopeError(
            f"another fleet called {plan.prefix!r} is on this machine: choose another --prefix, or take it down"
        ) from None
    try:
        # A stray connection to a host, from outside of the bridge, must not leave by this machine's default route.
        run(["ip", "route", "add", "unreachable", str(plan.network)])
    except EnvelopeError as error:
        run(["ip", "netns", "delete", here])
        raise EnvelopeError(f"network {plan.network} is taken ({error}): choose another --network") from None
    run(["ip", "-n", here, "link", "set", "lo", "up"])
    run(["ip", "-n", here, "link", "add", BRIDGE, "type", "bridge"])
    run(["ip", "-n", here, "addr", "add", f"{plan.control}/{plan.network.prefixlen}", "dev", BRIDGE])
    run(["ip", "-n", here, "link", "set", BRIDGE, "up"])


def connect(plan: Plan, host: Machine) -> None:
    """Plug a host's network card into the bridge."""
    here, there, card = namespace(plan), namespace(plan, host), _card(host)
    run(["ip", "netns", "add", there])
    run(["ip", "-n", here, "link", "add", card, "type", "veth", "peer", "name", "eth0", "netns", there])
    run(["ip", "-n", here, "link", "set", card, "master", BRIDGE, "up"])
    run(["ip", "-n", there, "link", "set", "lo", "up"])
    run(["ip", "-n", there, "addr", "add", f"{plan.address(host.number)}/{plan.network.prefixlen}", "dev", "eth0"])
    run(["ip", "-n", there, "link", "set", "eth0", "up"])


def plug(plan: Plan, host: Machine, *, in_: bool) -> None:
    """Pull a host's cable out of the bridge, or put it back: the host itself notices nothing but silence."""
    run(["ip", "-n", namespace(plan), "link", "set", _card(host), "up" if in_ else "down"])


def is_plugged(plan: Plan, host: Machine) -> bool:
    """Say whether a host's cable is in."""
    words = run(["ip", "-n", namespace(plan), "-o", "link", "show", _card(host)]).split()
    return "UP" in words[2].strip("<>").split(",")


def disconnect(plan: Plan, host: Machine) -> None:
    """Delete a host's namespace, and its cable with it."""
    with suppress(EnvelopeError):
        run(["ip", "netns", "delete", namespace(plan, host)])


def delete(plan: Plan) -> None:
    """Delete the bridge and whatever namespaces of this prefix are left."""
    for name in sorted(spaces()):
        if name == plan.prefix or name.startswith(f"{plan.prefix}-"):
            run(["ip", "netns", "delete", name])
    with suppress(EnvelopeError):
        run(["ip", "route", "delete", "unreachable", str(plan.network)])


def _card(host: Machine) -> str:
    return f"v-{host.name}"
