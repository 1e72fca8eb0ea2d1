"""What the runbooks of hosts have in common: taking one out of the traffic, seeing that it serves, giving it back."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from runbooks.deploy import acting
from runbooks.engine.model import Halt, Unmet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.environment import Environment
    from runbooks.engine.model import Context

# Streams of events stay open for an hour: whoever has one connects again elsewhere when the process ends.
DRAIN_SECONDS = 45.0
PAUSE = 0.5


def at(context: Context, environment: Environment) -> Context:
    """Return the context with an environment as it has become."""
    return replace(context, environment=environment)


def drain(context: Context, host: str) -> str:
    """Let no balancer send to a host, and wait until it has answered what it is at. Raises Halt."""
    from runbooks.drivers.haproxy_drain import drain as drained  # noqa: PLC0415 - a page needs it not

    began = time.monotonic()
    while True:
        with acting.told():
            seen = drained(context.environment, host)
        if seen.lost:
            raise Halt(f"{host} stays in the traffic: {'; '.join(seen.lost.values())}")
        seconds = time.monotonic() - began
        if not seen.busy:
            return f"{host} has answered all after {seconds:.1f} s"
        if seconds > min(DRAIN_SECONDS, context.remaining()):
            return (
                f"{host} is still at {seen.busy} requests after {seconds:.0f} s: streams, which are taken up elsewhere"
            )
        time.sleep(PAUSE)


def undrain(context: Context, host: str) -> None:
    """Let the balancers send to a host again. Raises Halt where one does not know of it."""
    from runbooks.drivers.haproxy_drain import undrain as undrained  # noqa: PLC0415 - as above

    with acting.told():
        seen = undrained(context.environment, host)
    if seen.lost:
        raise Halt(f"{host} gets no traffic: {'; '.join(seen.lost.values())}")


def stop(context: Context, host: str) -> None:
    """Stop the service on a host; sync hands over first. Raises Halt."""
    from runbooks.drivers.remote import Remote, RemoteError, as_user  # noqa: PLC0415 - as above

    units = ("simplicity-sync", "simplicity-api@blue", "simplicity-api@green")
    try:
        Remote(context.environment).run(host, as_user("root", "systemctl", "stop", *units), within=90)
    except RemoteError as error:
        raise Halt(str(error)) from None


def serve(context: Context, colour: str, hosts: Sequence[str] | None = None) -> str:
    """Say that each host's process of a colour is ready, and has its traffic on every balancer. Raises Unmet."""
    from runbooks.drivers.haproxy_switch import HaproxySwitch  # noqa: PLC0415 - as above
    from runbooks.drivers.operations import OperationStore  # noqa: PLC0415 - as above

    names = [host.name for host in context.environment.hosts["api"]]
    with acting.told():
        readings, lost = HaproxySwitch(context.environment, OperationStore(context.folder / "operations")).readings()
    if lost:
        raise Unmet("; ".join(lost.values()))
    for balancer, reading in readings.items():
        known = {name.rpartition("-")[0] for name in reading.weights}
        if hosts is None and known != set(names):
            raise Unmet(f"{balancer} knows {', '.join(sorted(known))}; there are {', '.join(names)}")
        for server in (f"{host}-{colour}" for host in hosts or names):
            if server not in reading.up or not reading.weights.get(server):
                raise Unmet(f"{balancer} does not send to {server} yet")
    return f"{', '.join(hosts or names)}: {colour} is ready and has traffic on {', '.join(readings)}"
