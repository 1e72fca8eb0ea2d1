"""What a component of the envelope is: one frozen value for each process, in the files of `components/`."""

from __future__ import annotations

import importlib
import pkgutil
import ssl
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from infra.local.layout import Layout
    from infra.local.ports import Port

PROBE_SECONDS = 2.0
SCRAPE_SECONDS = 2  # short: a person who has just typed `up` looks for data at once


@dataclass(frozen=True, slots=True)
class Options:
    """What a person can choose with `up`; by `alert_scale` the alerts' windows are shorter than real."""

    traffic: bool = True
    rate: float = 0.5
    seed: str = "simplicity"
    backups: str = ""
    anchor: str = ""
    alert_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """Everything a component may know about the others: paths, chosen ports, options, secrets, unpacked tools."""

    layout: Layout
    ports: Mapping[str, int]
    options: Options
    secrets: Mapping[str, str] = field(repr=False)
    tools: Mapping[str, Path] = field(default_factory=dict)

    def directory(self, component: str) -> Path:
        """Return the data directory of a component; it may not exist yet."""
        return self.layout.data / component


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer of a readiness probe: `detail` says what was seen, or why it is not ready."""

    ready: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One supervised process; all functions take the envelope and are called by `up`.

    `files` are generated into the component's directory: a change of their text restarts it. `prepare` runs before a
    start and never while the process lives, `settle` after each time it has become ready. `metrics` names the port
    whose /metrics Prometheus scrapes, under the name `job`; `hint` says what a person does when it does not become
    ready. Components that do the same work share a `group`: a person can name it in the place of them all. One that
    `drains` serves on for a while when it is told to stop, and ends that at a second signal.
    """

    name: str
    command: Callable[[Envelope], tuple[str, ...]]
    probe: Callable[[Envelope], Probe]
    url: Callable[[Envelope], str]
    hint: str
    environment: Callable[[Envelope], Mapping[str, str]] = lambda _: {}
    files: Callable[[Envelope], Mapping[str, str]] = lambda _: {}
    prepare: Callable[[Envelope], None] = lambda _: None
    settle: Callable[[Envelope], None] = lambda _: None
    wanted: Callable[[Options], bool] = lambda _: True
    group: str = ""
    job: str = ""
    ports: tuple[Port, ...] = ()
    secrets: tuple[str, ...] = ()
    metrics: str = ""
    tools: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    ready_seconds: float = 45.0
    drains: bool = False


def components() -> tuple[Component, ...]:
    """Return all components of the folder, those that others need first; a file there has a tuple COMPONENTS."""
    from infra.local import components as folder  # noqa: PLC0415 - the folder's modules import this one

    found = {
        component.name: component
        for module in pkgutil.iter_modules(folder.__path__)
        for component in importlib.import_module(f"{folder.__name__}.{module.name}").COMPONENTS
    }
    return in_order(found)


def named(name: str) -> tuple[Component, ...]:
    """Return the component of this name, or all those of the group of this name; none when there is neither."""
    return tuple(component for component in components() if name in {component.name, component.group} - {""})


def in_order(found: Mapping[str, Component]) -> tuple[Component, ...]:
    """Sort components so that each stands after what it needs; by name where that leaves a choice."""
    ordered: dict[str, Component] = {}
    while len(ordered) < len(found):
        ready = sorted(name for name, c in found.items() if name not in ordered and set(c.needs) <= set(ordered))
        if not ready:
            raise ValueError(f"components need each other in a circle: {sorted(set(found) - set(ordered))}")
        ordered |= {name: found[name] for name in ready}
    return tuple(ordered.values())


@cache
def http() -> httpx2.Client:
    """Return the client for what runs on this machine.

    trust_env off: a proxy for the outer world must not get requests for this machine. The TLS context trusts nobody:
    there is no TLS here, and loading the system's certificates would cost each probe more than its request.
    """
    return httpx2.Client(
        timeout=PROBE_SECONDS,
        trust_env=False,
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        limits=httpx2.Limits(max_keepalive_connections=0),
    )


def http_probe(url: str, *, expect: str = "", otherwise: str = "") -> Probe:
    """Ask `url`: ready when it answers 200 and the body contains `expect`; `otherwise` says what is missing then."""
    try:
        answer = http().get(url)
    except httpx2.HTTPError as error:
        return Probe(ready=False, detail=f"{url} does not answer ({type(error).__name__})")
    if answer.status_code != httpx2.codes.OK:
        return Probe(ready=False, detail=f"{url} answers {answer.status_code}")
    if expect not in answer.text:
        return Probe(ready=False, detail=otherwise)
    return Probe(ready=True, detail=f"{url} answers")
