"""Put an envelope together: secrets, ports, tools, files and the supervisor's configuration."""

from __future__ import annotations

import hashlib
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from infra.local.component import Envelope, Options, components
from infra.local.layout import EnvelopeError, private_directory, read_object, write_private
from infra.local.ports import find
from infra.local.processes import envelope_processes, listening_ports
from infra.local.supervisor import Program
from infra.local.tools import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from infra.local.component import Component
    from infra.local.layout import Layout
    from infra.local.ports import Reservations

SECRET_BYTES = 24
# States of supervisor's in which it has, or will have by itself, a living process.
ALIVE = frozenset({"RUNNING", "STARTING", "BACKOFF"})


@dataclass(frozen=True, slots=True)
class Assembled:
    """An envelope that can be started, and what is wrong with the components that cannot, by name."""

    envelope: Envelope
    programs: tuple[Program, ...]
    failed: Mapping[str, str]


def merged(remembered: Mapping[str, Any], **wishes: float | str | None) -> Options:
    """Return the options: those wished for, else those of the last `up`, else the defaults. None is no wish."""
    known = asdict(Options())
    kept = {k: v for k, v in remembered.items() if k in known and type(v) is type(known[k])}
    return Options(**(known | kept | {k: v for k, v in wishes.items() if v is not None}))


def remembered_ports(layout: Layout) -> dict[str, int]:
    """Return the ports that were chosen before, by name."""
    return {name: number for name, number in read_object(layout.ports).items() if isinstance(number, int)}


def ensure_secrets(layout: Layout, names: Iterable[str]) -> dict[str, str]:
    """Return secrets by name: each is made up once and kept in a file of mode 0600."""
    found = {}
    for name in names:
        path = layout.secrets / name
        if not path.exists():
            write_private(path, secrets.token_hex(SECRET_BYTES) + "\n")
        found[name] = path.read_text(encoding="ascii").strip()
    return found


def envelope_of(layout: Layout, options: Options, reservations: Reservations) -> Envelope:
    """Return the envelope with its ports chosen and remembered; raises EnvelopeError when no port is left."""
    everything = components()
    ours = listening_ports(envelope_processes(layout.data))
    ports = find(
        [port for component in everything for port in component.ports],
        remembered=remembered_ports(layout),
        ours=ours,
        reservations=reservations,
    )
    write_private(layout.ports, json.dumps(ports, indent=2) + "\n")
    write_private(layout.options, json.dumps(asdict(options), indent=2) + "\n")
    passwords = ensure_secrets(layout, (name for component in everything for name in component.secrets))
    return Envelope(layout=layout, ports=ports, options=options, secrets=passwords)


def assemble(envelope: Envelope, wanted: Iterable[Component], alive: Callable[[str], bool]) -> Assembled:
    """Fetch tools and prepare what is not `alive`, all at once; then describe each component to the supervisor."""
    chosen = tuple(wanted)
    failed: dict[str, str] = {}
    paths: dict[str, Path] = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        fetching = {
            (component.name, tool): pool.submit(locate, tool, envelope.layout.tools)
            for component in chosen
            for tool in component.tools
        }
        preparing = {c.name: pool.submit(c.prepare, envelope) for c in chosen if not alive(c.name)}
        for (name, tool), found in fetching.items():
            try:
                paths[tool] = found.result()
            except EnvelopeError as error:
                failed[name] = str(error)
        for name, done in preparing.items():
            try:
                done.result()
            except EnvelopeError as error:
                failed[name] = str(error)
    complete = replace(envelope, tools=paths)
    programs = []
    for component in (c for c in chosen if c.name not in failed):
        try:
            programs.append(_program(complete, component))
        except EnvelopeError as error:
            failed[component.name] = str(error)
    return Assembled(envelope=complete, programs=tuple(programs), failed=failed)


def _program(envelope: Envelope, component: Component) -> Program:
    directory = envelope.directory(component.name)
    files = component.files(envelope)
    environment = dict(component.environment(envelope))
    private_directory(directory)
    for name, text in files.items():
        private_directory((directory / name).parent)
        write_private(directory / name, text)
    if files:
        # Supervisor restarts what has another environment: so a changed file reaches a running component.
        environment["SIMPLICITY_FILES"] = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return Program(
        name=component.name,
        command=component.command(envelope),
        directory=directory,
        environment=environment,
        stop_signal=component.stop_signal,
        stop_seconds=component.stop_seconds,
    )
