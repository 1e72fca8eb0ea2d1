"""The fleet as a whole: up and down, and the faults of machines that a rehearsal needs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Network
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

from infra.fleet import hosts, image, network, outside, programs, ssh
from infra.fleet.document import SECRETS, document_of
from infra.fleet.hosts import Process
from infra.fleet.plan import Machine, Plan
from infra.local.layout import EnvelopeError, private_directory, read_object, write_private

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.fleet.plan import Role
    from infra.fleet.storage import Storage

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet that is up: its plan, the process of each host, and those of the services that are others'."""

    plan: Plan
    processes: dict[str, Process]
    services: dict[str, Process]

    def lives(self, host: Machine) -> bool:
        """Say whether a host is running."""
        process = self.processes.get(host.name)
        return process is not None and process.found() is not None


@dataclass(frozen=True, slots=True)
class HostState:
    """What a host is doing: `answers` is its SSH."""

    name: str
    role: str
    address: str
    runs: bool
    plugged: bool
    answers: bool


def up(storage: Storage, wished: Plan, told: Callable[[str], None]) -> Fleet:
    """Boot all hosts that are not running; a second time changes nothing. Where it fails, nothing is left of it."""
    programs.check()
    fleet = load(storage)
    if fleet is None:
        told("makes what hosts boot from")
        images = image.images(storage)
        _clean(storage)
        network.create(wished)
        fleet = Fleet(wished, {}, {})
        save(storage, fleet)  # from now on `down` knows what to take down, whatever becomes of this process
        try:
            _make(storage, wished, images)
            _boot(storage, fleet, images, told)
            told("tells them what packages there are")
            ssh.on_all(wished, storage, "sudo apt-get -qq update")
        except BaseException:
            _remove(storage, fleet)
            raise
        return fleet
    if fleet.plan.prefix != wished.prefix:
        raise EnvelopeError(f"a fleet {fleet.plan.prefix!r} is up here; `simplicity fleet down` first")
    return _boot(storage, fleet, image.images(storage), told)


def _make(storage: Storage, plan: Plan, images: image.Images) -> None:
    ssh.make_key(storage)
    private_directory(storage.secrets)
    private_directory(storage.pki)
    for name in SECRETS:
        write_private(storage.secrets / name, token_urlsafe(SECRET_BYTES) + "\n")
    for host in plan.hosts:
        hosts.make(plan, host, storage, images)
        network.connect(plan, host)
    ssh.write_config(plan, storage)
    document_of(plan, storage).save(storage.environment)


def _boot(storage: Storage, fleet: Fleet, images: image.Images, told: Callable[[str], None]) -> Fleet:
    for host in fleet.plan.hosts:
        if not fleet.lives(host):
            told(f"boots {host.name}")
            fleet.processes[host.name] = hosts.boot(fleet.plan, host, storage, images)
            save(storage, fleet)
    fleet.services.update(outside.start(fleet.plan, storage, fleet.services))
    save(storage, fleet)
    for host in fleet.plan.hosts:
        told(f"waits for {host.name}")
        try:
            ssh.await_answer(fleet.plan, host)
        except EnvelopeError as error:
            raise EnvelopeError(f"{error}; {hosts.last_words(host, storage)}") from None
    return fleet


def down(storage: Storage) -> bool:
    """Shut all hosts down and leave nothing but the images; return whether there was anything."""
    fleet = load(storage)
    if fleet is not None:
        _remove(storage, fleet)
    return fleet is not None


def _remove(storage: Storage, fleet: Fleet) -> None:
    outside.stop(fleet.services)
    for process in fleet.processes.values():
        hosts.order_off(process)
    for process in fleet.processes.values():
        hosts.shut_down(process)
    network.delete(fleet.plan)
    _clean(storage)


def _clean(storage: Storage) -> None:
    programs.run(["rm", "-rf", "--one-file-system", str(storage.run)])
    private_directory(storage.run)


def add(storage: Storage, role: Role, told: Callable[[str], None]) -> Machine:
    """Boot a further host; the environment document names it from then on, and it is bare."""
    fleet = loaded(storage)
    try:
        host = fleet.plan.fresh(role)
    except ValueError as error:
        raise EnvelopeError(str(error)) from None
    images = image.images(storage)
    wider = Fleet(replace(fleet.plan, hosts=(*fleet.plan.hosts, host)), fleet.processes, fleet.services)
    _bring(storage, wider, host, images, told)
    return host


def remove(storage: Storage, name: str) -> None:
    """Shut a host down, and forget it and all that it had; the last of its role is refused."""
    fleet, host = chosen(storage, name)
    if len(fleet.plan.of(host.role)) == 1:
        raise EnvelopeError(f"{name} is the last {host.role} host: take the whole fleet down instead")
    _take_away(storage, fleet, host)
    left = tuple(each for each in fleet.plan.hosts if each.name != name)
    _write_plan(storage, Fleet(replace(fleet.plan, hosts=left), fleet.processes, fleet.services))


def put_last(storage: Storage, name: str) -> None:
    """Let a host be the last of its role: the one that goes first when there are to be fewer."""
    fleet, host = chosen(storage, name)
    others = tuple(each for each in fleet.plan.hosts if each.name != name)
    _write_plan(storage, Fleet(replace(fleet.plan, hosts=(*others, host)), fleet.processes, fleet.services))


def rebuild(storage: Storage, name: str, told: Callable[[str], None]) -> None:
    """Replace a host by a bare one of the same name and address, as after the loss of a machine with its disks."""
    fleet, host = chosen(storage, name)
    images = image.images(storage)
    _take_away(storage, fleet, host)
    _bring(storage, fleet, host, images, told)


def _bring(storage: Storage, fleet: Fleet, host: Machine, images: image.Images, told: Callable[[str], None]) -> None:
    hosts.make(fleet.plan, host, storage, images)
    network.connect(fleet.plan, host)
    _write_plan(storage, fleet)
    told(f"boots {host.name}")
    fleet.processes[host.name] = hosts.boot(fleet.plan, host, storage, images)
    save(storage, fleet)
    told(f"waits for {host.name}")
    ssh.await_answer(fleet.plan, host)
    programs.run(ssh.command(fleet.plan, storage, host, ["sudo apt-get -qq update"]))


def _take_away(storage: Storage, fleet: Fleet, host: Machine) -> None:
    process = fleet.processes.pop(host.name, None)
    if process is not None:
        hosts.shut_down(process)
    network.disconnect(fleet.plan, host)
    programs.run(["rm", "-rf", "--one-file-system", str(storage.host(host.name))])


def _write_plan(storage: Storage, fleet: Fleet) -> None:
    save(storage, fleet)
    ssh.write_config(fleet.plan, storage)
    document_of(fleet.plan, storage).save(storage.environment)


def power_cut(storage: Storage, name: str) -> None:
    """Cut a host's power; `up` boots it again with what it had written."""
    fleet, host = chosen(storage, name)
    if fleet.lives(host):
        hosts.cut(fleet.processes[host.name])


def partition(storage: Storage, name: str) -> None:
    """Pull a host's cable."""
    fleet, host = chosen(storage, name)
    network.plug(fleet.plan, host, in_=False)


def heal(storage: Storage) -> list[str]:
    """Put all cables back; return the hosts whose cable was out."""
    fleet = loaded(storage)
    healed = [host for host in fleet.plan.hosts if not network.is_plugged(fleet.plan, host)]
    for host in healed:
        network.plug(fleet.plan, host, in_=True)
    return [host.name for host in healed]


def status(storage: Storage) -> list[HostState]:
    """Return what each host is doing; none where no fleet is up."""
    fleet = load(storage)
    return [_state(fleet, host) for host in fleet.plan.hosts] if fleet else []


def _state(fleet: Fleet, host: Machine) -> HostState:
    plan, runs = fleet.plan, fleet.lives(host)
    plugged = network.is_plugged(plan, host)
    well = runs and plugged and ssh.answers(plan, host)
    return HostState(host.name, host.role, plan.address(host.number), runs=runs, plugged=plugged, answers=well)


def chosen(storage: Storage, name: str) -> tuple[Fleet, Machine]:
    """Return the fleet that is up and a host of it; raises EnvelopeError where there is none of that name."""
    fleet = loaded(storage)
    try:
        return fleet, fleet.plan.named(name)
    except KeyError as error:
        raise EnvelopeError(str(error.args[0])) from None


def loaded(storage: Storage) -> Fleet:
    """Return the fleet that is up; raises EnvelopeError where none is."""
    fleet = load(storage)
    if fleet is None:
        raise EnvelopeError("no fleet is up; `simplicity fleet up` boots one")
    return fleet


def load(storage: Storage) -> Fleet | None:
    """Return the fleet that is up."""
    found: dict[str, Any] = read_object(storage.state)
    if not found:
        return None
    machines = tuple(Machine(**each) for each in found["hosts"])
    plan = Plan(found["prefix"], IPv4Network(found["network"]), machines)
    processes, services = (
        {name: Process(*each) for name, each in found.get(of, {}).items()} for of in ("processes", "services")
    )
    return Fleet(plan, processes, services)


def save(storage: Storage, fleet: Fleet) -> None:
    """Write down which hosts there are."""
    plan = fleet.plan
    known = {"prefix": plan.prefix, "network": str(plan.network), "hosts": [asdict(host) for host in plan.hosts]}
    write_private(
        storage.state, json.dumps(known | {"processes": fleet.processes, "services": fleet.services}, indent=2) + "\n"
    )
