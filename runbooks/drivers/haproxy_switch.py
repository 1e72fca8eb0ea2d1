"""The switch between the colours of the API: the weights of the servers of every balancer.

A server is called HOST-COLOUR. Every balancer is told the same, and asked back what its servers have:
`simplicity-weights` there also keeps it, so that neither a reload nor a restart moves the traffic.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbooks.drivers.operations import own
from runbooks.drivers.protocols import Operation, Refusal
from runbooks.drivers.remote import Remote, RemoteError, as_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.environment import Environment
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Json

NAME = "haproxy"
ACTION = "shift"
ALL = 100
SECONDS = 15.0
PROGRAM, SOCKET, BACKEND = "simplicity-weights", "/run/haproxy/admin.sock", "api"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one balancer says: each server's weight, and which servers it finds ready."""

    weights: Mapping[str, int]
    up: frozenset[str]

    @property
    def shares(self) -> dict[str, int]:
        """Return each colour's share of the requests, in percent."""
        return shares(self.weights)


def colour_of(server: str) -> str:
    """Return the colour in a server's name."""
    return server.rpartition("-")[2]


def shares(weights: Mapping[str, int]) -> dict[str, int]:
    """Return what percentage of the requests the servers of each colour get."""
    by_colour: dict[str, int] = {}
    for name, weight in weights.items():
        by_colour[colour_of(name)] = by_colour.get(colour_of(name), 0) + weight
    total = sum(by_colour.values())
    return {colour: round(ALL * weight / total) if total else 0 for colour, weight in sorted(by_colour.items())}


@dataclass(frozen=True, slots=True)
class HaproxySwitch:
    """TrafficSwitch for HAProxy on the hosts of the role balancer; without one it refuses."""

    environment: Environment
    store: OperationStore

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: give a share of the requests, too."""
        return frozenset({ACTION, "gradual"})

    def weights(self) -> Mapping[str, int]:
        """Return each colour's share in percent. Raises Refusal where a balancer is away, or they differ."""
        found, lost = self.readings()
        if lost:
            raise Refusal(next(iter(lost.values())))
        said = {name: reading.shares for name, reading in found.items()}
        if len({json.dumps(each) for each in said.values()}) > 1:
            words = "; ".join(f"{name} has {each}" for name, each in sorted(said.items()))
            raise Refusal(f"the balancers differ: {words}; set them: simplicity deploy switch COLOUR")
        return next(iter(said.values()))

    def readings(self) -> tuple[dict[str, Reading], dict[str, str]]:
        """Return what each balancer says, and why others say nothing. Raises Refusal where there are none."""
        return self._all(None)

    def shift(self, key: str, weights: Mapping[str, int]) -> Operation:
        """Give each colour its share; together 100."""
        if sum(weights.values()) != ALL or min(weights.values(), default=-1) < 0:
            raise Refusal(f"the shares have to come to {ALL}, and none below 0: {dict(weights)}")
        self.store.begin(key, driver=NAME, action=ACTION, target=BACKEND, arguments={"weights": dict(weights)})
        return self.poll(key)

    def poll(self, key: str) -> Operation:
        """Tell all balancers at once: FAILED where one does not answer, or has other shares afterwards."""
        operation = own(self.store.get(key), NAME)
        if operation.over:
            return operation
        argument: Any = operation.arguments["weights"]
        wanted: dict[str, int] = dict(argument)
        found, lost = self._all(wanted)
        result: dict[str, Json] = {"balancers": {name: dict(each.weights) for name, each in found.items()}}
        strange = sorted(set(wanted) - {colour for each in found.values() for colour in each.shares})
        if found and strange:
            lost["all"] = f"the balancers have no server of the colour {strange[0]}"
        for name, reading in found.items():
            if {each: share for each, share in reading.shares.items() if share} != {
                k: v for k, v in wanted.items() if v
            }:
                lost.setdefault(name, f"{name} was told {wanted} and says {reading.shares}")
        if lost:
            return self.store.failed(operation, detail="; ".join(lost.values()), result=result | {"lost": sorted(lost)})
        return self.store.done(operation, detail=f"{', '.join(sorted(found))}: {wanted}", result=result)

    def _all(self, weights: Mapping[str, int] | None) -> tuple[dict[str, Reading], dict[str, str]]:
        remote = Remote(self.environment)
        names = [host.name for host in remote.hosts("balancer")]
        words = [] if weights is None else [f"{colour}={weight}" for colour, weight in sorted(weights.items())]

        def one(name: str) -> Reading | str:
            try:
                said = json.loads(remote.run(name, as_user("root", PROGRAM, *words), within=SECONDS))
                servers: dict[str, dict[str, int]] = said["servers"]
                up = frozenset(each for each, about in servers.items() if about["up"])
                return Reading({each: about["weight"] for each, about in servers.items()}, up)
            except (RemoteError, ValueError, KeyError, TypeError) as error:
                return str(error)

        with ThreadPoolExecutor(len(names)) as pool:
            said = dict(zip(names, pool.map(one, names), strict=True))
        found = {name: each for name, each in said.items() if isinstance(each, Reading)}
        return found, {name: each for name, each in said.items() if isinstance(each, str)}
