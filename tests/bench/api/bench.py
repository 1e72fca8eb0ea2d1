"""The measurements in their order: what is asked of whom, and where the figures go."""

from __future__ import annotations

import dataclasses
import random
import statistics
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import psycopg
from msgspec.structs import replace

from tests.bench.api import metrics
from tests.bench.api.data import BIG
from tests.bench.api.endpoints import ENDPOINTS
from tests.bench.api.figures import ask, cpu_each, summary
from tests.bench.api.load import Group, Load
from tests.bench.api.site import bare
from tests.bench.api.truth import Truth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from tests.bench.api.endpoints import Endpoint
    from tests.bench.api.load import Sample
    from tests.bench.api.site import Server, Site
    from tests.bench.task import Figures

TARGETED = 50  # connections for which speeds are promised
WARMING = 16  # connections
MANY, SLOW_RATE = 1_000, 300.0  # kept connections, and requests a second over all of them
NO_EXPIRY = "3600"  # seconds: "warm" would else mean that a part of the answers expires, another in each round
HALF = 0.5  # of what a closed loop got: an open loop's rate at which no queue should grow


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long, over how many connections, and how often again, since a machine is never quite idle."""

    seconds: float = 3.0
    settle: float = 0.5
    connections: tuple[int, ...] = (1, TARGETED, MANY)
    rounds: int = 3  # with the connections that the targets are for; one with others
    many_seconds: float = 30.0
    samples: int = 10
    outage: float = 10.0  # seconds that Redis and the database are away
    hang: float = 60.0  # seconds that the node is
    around: float = 5.0  # seconds before a fault, and after the time that recovery may take
    with_open_loops: bool = True

    def quick(self) -> Sizes:
        tiny = Sizes(0.4, 0.1, (TARGETED,), rounds=1, many_seconds=2.0, samples=3)
        return dataclasses.replace(tiny, outage=2.0, hang=10.0, around=0.5, with_open_loops=False)


@dataclass
class Bench:
    """One run: an API with its caches, one without, and the bare endpoint beside them."""

    site: Site
    sizes: Sizes
    results: Figures
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with self._stack:
            self._warm = self._stack.enter_context(self.site.api("api", API_CACHE_TTL=NO_EXPIRY))
            self._cold = self._stack.enter_context(self.site.api("api-without-cache", API_CACHE_BYTES="0"))
            self._bare = self._stack.enter_context(bare())
            self._stack = self._stack.pop_all()
        self._scans = self._whole_reads()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def ceiling(self) -> None:
        """Find out how much the client could ask."""
        with bare("canned") as canned:
            load = replace(self._load(canned, [Group(["/"])]), connections=TARGETED, watched={"server": canned.pid})
            self.results["ceiling"] = summary(ask(load, "the client by itself"))

    def closed(self, endpoint: Endpoint) -> None:
        """Ask as fast as answers come, with warm caches and without any, and the bare endpoint by turns."""
        paths = endpoint.all_paths(self.site.shape)
        found: Figures = {}
        for connections in self.sizes.connections:
            size = self._warm_up(endpoint, paths)
            rounds = []
            for number in range(self.sizes.rounds if connections == TARGETED else 1):
                what = f"{endpoint.title}, {connections} connections, round {number + 1}"
                rounds.append(
                    {
                        "bare": self._bare_round(what, size, connections),
                        "warm": self._round(f"{what}: warm", endpoint, self._warm, Group(paths), connections),
                    }
                )
                if len(paths) > connections:  # else many ask for the same at once, and it is computed for all of them
                    group = Group(random.Random(number).sample(paths, len(paths)), each_once=True)
                    rounds[-1]["cold"] = self._round(f"{what}: cold", endpoint, self._cold, group, connections)
            found[str(connections)] = combined(rounds)
        self.results.setdefault("closed", {})[endpoint.name] = found

    def open(self, endpoint: Endpoint) -> None:
        """Ask at half of the closed loop's speed, whatever comes back."""
        paths = endpoint.all_paths(self.site.shape)
        self._warm_up(endpoint, paths)
        rate = max(HALF * self.results["closed"][endpoint.name][str(TARGETED)]["warm"]["rate"], 1.0)
        load = replace(self._load(self._warm, [Group(paths)]), connections=TARGETED, rate=rate)
        figures = summary(ask(load, f"{endpoint.title}, open loop, {rate:,.0f} requests/s"))
        self.results.setdefault("open", {})[endpoint.name] = figures | {"asked": rate}

    def many(self) -> None:
        """Ask now and then on each of many kept connections, all endpoints mixed."""
        each = [(endpoint, endpoint.all_paths(self.site.shape)) for endpoint in ENDPOINTS]
        for endpoint, paths in each:
            self._warm_up(endpoint, paths)
        load = self._load(self._warm, [Group(paths) for _, paths in each])
        load = replace(load, connections=MANY, rate=SLOW_RATE, seconds=self.sizes.many_seconds)
        figures = summary(ask(load, f"{MANY} kept connections, {SLOW_RATE:.0f} requests/s in all"))
        self.results["many"] = figures | {"asked": SLOW_RATE, "connections": MANY}

    def queries(self) -> None:
        """Read the API's own times of its queries, and how often one read a large table wholly."""
        p95 = metrics.query_seconds([metrics.scrape(server.port) for server in (self._warm, self._cold)], 0.95)
        self.results["queries"] = {name: {"count": count, "p95": seconds} for name, (count, seconds) in p95.items()}
        self.results["whole_reads"] = self._whole_reads() - self._scans

    def bodies(self) -> None:
        """Compare answers that came under load with what SQL says."""
        with psycopg.connect(self.site.database) as connection:
            truth = Truth(connection)
            self.results["bodies"] = {
                name: {
                    "compared": len(samples),
                    "differences": truth.differences(samples),
                }
                for name, samples in self.samples.items()
            }

    def _bare_round(self, what: str, size: int, connections: int) -> Figures:
        load = self._load(self._bare, [Group([f"/{size}"])])
        load = replace(load, connections=connections, watched={"server": self._bare.pid}, samples=0)
        return summary(ask(load, f"{what}: bare"))

    def _round(self, what: str, endpoint: Endpoint, server: Server, group: Group, connections: int) -> Figures:
        before = metrics.scrape(server.port)
        answered = ask(replace(self._load(server, [group]), connections=connections), what)
        self.samples.setdefault(endpoint.name, []).extend(answered.samples)
        return summary(answered) | {"hits": metrics.hits(before, metrics.scrape(server.port))}

    def _load(self, server: Server, groups: list[Group]) -> Load:
        return Load(
            server.port,
            groups,
            self.site.keys,
            seconds=self.sizes.seconds,
            settle=self.sizes.settle,
            samples=self.sizes.samples,
            watched=self.site.watched(server),
        )

    def _warm_up(self, endpoint: Endpoint, paths: list[str]) -> int:
        return warm_up(self._warm, self.site, endpoint.title, paths)

    def _whole_reads(self) -> int:
        with psycopg.connect(self.site.database) as connection:
            row = connection.execute(
                "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE schemaname = 'index' AND relname ~ %s",
                (f"^({'|'.join(BIG)})",),
            ).fetchone()
        return int(row[0]) if row else 0


def warm_up(server: Server, site: Site, name: str, paths: Sequence[str]) -> int:
    """Ask for every address, the most popular last: those a cache that cannot hold all holds then.

    Return the mean size of a body in bytes.
    """
    group = Group(list(reversed(paths)), each_once=True)
    load = Load(server.port, [group], site.keys, WARMING, seconds=0.0, count=len(paths))
    return int(summary(ask(load, f"{name}: warming up"))["bytes"])


def combined(rounds: Sequence[Figures]) -> Figures:
    """Return each way's round of median speed, and the medians of what the rounds' ratios to the bare endpoint are."""
    ways = rounds[0].keys()
    found = {way: sorted((one[way] for one in rounds), key=lambda each: float(each["rate"])) for way in ways}
    figures = {way: several[len(several) // 2] for way, several in found.items()}
    for way in ways - {"bare"}:
        figures[way]["of_bare"] = statistics.median(one[way]["rate"] / one["bare"]["rate"] for one in rounds)
        by_cpu = (cpu_each(one["bare"]) / max(cpu_each(one[way]), 1e-9) for one in rounds)
        figures[way]["of_bare_by_cpu"] = statistics.median(by_cpu)
    return figures
