"""How the colours are: their releases and processes on each host, their share on each balancer, and what was left."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runbooks.deploy import freezing
from runbooks.deploy.healing import left
from runbooks.deploy.hosts import COLOURS, look
from runbooks.drivers.haproxy_switch import HaproxySwitch
from runbooks.drivers.operations import OperationStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.deploy.hosts import HostState
    from runbooks.engine.run import Place

ALL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What was seen; `lost` says why somebody is not known. `live` has all traffic, "" where no colour has."""

    environment: str
    live: str
    shares: Mapping[str, Mapping[str, int]]
    hosts: Mapping[str, HostState]
    lost: Mapping[str, str]
    frozen: str
    unfinished: str

    @property
    def good(self) -> bool:
        """Whether one colour has all traffic, runs everywhere as one release, and nothing is left to do."""
        if self.lost or self.unfinished or not self.live:
            return False
        releases = {state.releases[self.live] for state in self.hosts.values()}
        currents = {state.current for state in self.hosts.values()}
        running = all(state.active[self.live] and state.sync for state in self.hosts.values())
        return running and len(releases) == 1 and releases == currents

    @property
    def text(self) -> str:
        """Everything in a few lines."""
        lines = [f"{self.environment}: " + (f"{self.live} is live" if self.live else "NO colour has all traffic")]
        lines += [
            f"  {balancer}: " + ", ".join(f"{colour} {share} %" for colour, share in found.items())
            for balancer, found in sorted(self.shares.items())
        ]
        for name, state in sorted(self.hosts.items()):
            parts = [
                f"{colour} {state.releases[colour] or '-'} {'running' if state.active[colour] else 'stopped'}"
                for colour in COLOURS
            ]
            parts.append(f"sync {state.current or '-'} {'running' if state.sync else 'STOPPED'}")
            lines.append(f"  {name}: " + "; ".join(parts))
        lines += [f"  {name}: {why}" for name, why in sorted(self.lost.items())]
        lines += [f"  {each}" for each in (self.frozen, self.unfinished) if each]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        hosts = {
            name: {k: v for k, v in asdict(state).items() if k != "manifests"} for name, state in self.hosts.items()
        }
        return asdict(self) | {"hosts": hosts, "good": self.good}


def examine(place: Place) -> Status:
    """Look at hosts and balancers. Raises DeployError or Refusal where the document does not lead to them."""
    environment = place.environment
    states, lost = look(environment)
    readings, silent = HaproxySwitch(environment, OperationStore(place.runs / "never")).readings()
    shares = {name: reading.shares for name, reading in readings.items()}
    whole = [{colour for colour, share in found.items() if share == ALL} for found in shares.values()]
    common = set.intersection(*whole) if whole else set()
    frozen, unfinished = freezing.read(environment.name), left(place)
    return Status(
        environment=environment.name,
        live=next(iter(common), ""),
        shares=shares,
        hosts=states,
        lost=lost | silent,
        frozen=frozen.sentence if frozen else "",
        unfinished=f"{unfinished.sentence}; the next deployment puts it right" if unfinished else "",
    )
