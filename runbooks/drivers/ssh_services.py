"""The services of hosts: units of systemd over ssh, by operations that outlast whoever began them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runbooks.drivers.operations import own
from runbooks.drivers.protocols import Operation, Refusal, ServiceState
from runbooks.drivers.remote import RemoteError, UnreachableError, as_user

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.environment import Host
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Json
    from runbooks.drivers.remote import Remote

DRIVER = "systemd"
Action: TypeAlias = Literal["start", "stop", "restart"]
ACTIONS: tuple[Action, ...] = ("start", "stop", "restart")
AUTHORITY = "/etc/simplicity/tls/ca.pem"
ASK_SECONDS, TELL_SECONDS = 20.0, 20.0
# A turn may take a drain, a start and the wait for a database that is being failed over.
TURN_SECONDS = 180.0
# What was told and was not heard, for its process died over it, is told again.
AGAIN_SECONDS = 10.0
_SHOWN = "Id,LoadState,ActiveState,SubState,MainPID,Result,Job"
_GONE = "unreachable"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit and the role of its hosts; `probe` is a port and a path that answers once it is ready."""

    name: str
    role: str
    unit: str
    group: str = ""
    probe: tuple[int, str] | None = None
    needs: tuple[str, ...] = ()


# Those that others need first.
UNITS = (
    Unit("etcd", "database", "etcd.service", "etcd"),
    Unit("etcd", "monitoring", "etcd.service", "etcd"),
    Unit("postgresql", "database", "patroni.service", "postgresql", (8008, "/health"), ("etcd",)),
    Unit("pooler", "database", "pgbouncer.service", "pooler", needs=("postgresql",)),
    Unit("valkey", "cache", "valkey-server.service", "valkey"),
    Unit("sync", "indexer", "simplicity-sync.service", "sync", (9102, "/metrics"), ("postgresql",)),
    Unit("api-blue", "api", "simplicity-api@blue.service", "api", (8441, "/health/ready"), ("postgresql",)),
    Unit("api-green", "api", "simplicity-api@green.service", "api", (8442, "/health/ready"), ("postgresql",)),
    Unit("haproxy", "balancer", "haproxy.service", "haproxy", needs=("api",)),
    Unit("keepalived", "balancer", "keepalived.service", "keepalived", needs=("haproxy",)),
    Unit("prometheus", "monitoring", "prometheus.service", "prometheus"),
    Unit("alertmanager", "monitoring", "prometheus-alertmanager.service", "alertmanager"),
)
_STATES = {
    "active": "running",
    "reloading": "running",
    "activating": "not ready",
    "deactivating": "stopping",
    "inactive": "stopped",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A unit on a host as systemd says; `busy` while a job for it waits or runs."""

    unit: Unit
    host: Host
    state: str
    pid: int
    detail: str
    busy: bool = False

    @property
    def name(self) -> str:
        """What it is called here: the host, then the service."""
        return f"{self.host.name}/{self.unit.name}"

    @property
    def group(self) -> str:
        """Whose work it shares; a colour that is not used shares none, so that its group never starts it."""
        idle = self.unit.group == "api" and self.state == "stopped"
        return "" if idle else self.unit.group


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How far an operation is: `members` take turns, `at` is whose it is; moments are seconds of the machine's clock.

    `told` is when systemd was told, 0 for not yet; pids are those when a turn began, and when it ended.
    """

    members: tuple[str, ...]
    at: int
    since: float
    told: float
    before: Mapping[str, int]
    after: Mapping[str, int]

    @property
    def member(self) -> str:
        """Whose turn it is."""
        return self.members[self.at]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Turn:
        """Return what a record says."""
        return cls(**{**record, "members": tuple(record["members"])})


def decide(  # noqa: PLR0911 - one for each thing that may be seen
    action: Action, turn: Turn, seen: Seen, moment: float, *, answers: bool
) -> tuple[str, str]:
    """Return what is next, "tell", "wait", "next" or "fail", and a line for a person: pure.

    `answers` says whether its probe does.
    """
    name, before = seen.name, turn.before[turn.member]
    if seen.state == _GONE:
        return _patient(turn, moment, f"{name}: {seen.detail}")
    if not turn.told:
        return "tell", f"{name}: {action}"
    if seen.busy:
        return _patient(turn, moment, f"{name} is {seen.state}")
    if action == "stop" and seen.state in {"stopped", "failed"}:
        return "next", f"{name} is stopped"
    if action != "stop" and seen.state == "failed":
        where = f"`journalctl -u {seen.unit.unit}` on {seen.host.name}"
        return "fail", f"{name} has failed: {seen.detail}; {where} tells why"
    if action != "stop" and seen.state == "running" and (action == "start" or seen.pid != before):
        return (
            ("next", f"{name} runs and answers") if answers else _patient(turn, moment, f"{name} does not answer yet")
        )
    if moment - turn.told > AGAIN_SECONDS and seen.state in {"running", "stopped"}:
        return "tell", f"{name}: {action}, once more"
    return _patient(turn, moment, f"{name} is {seen.state}")


def _patient(turn: Turn, moment: float, detail: str) -> tuple[str, str]:
    if moment - turn.since > TURN_SECONDS:
        return "fail", f"{detail}, after {moment - turn.since:.0f} s"
    return "wait", detail


@dataclass(frozen=True, slots=True)
class SystemdServiceControl:
    """ServiceControl for the units of an environment's hosts; names are HOST/SERVICE, or a group of them.

    Members of a group take turns, so that those which do the same work are never all away.
    """

    remote: Remote
    store: OperationStore

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: all that there is."""
        return frozenset(ACTIONS)

    def services(self) -> list[ServiceState]:
        """Look at every unit that is installed; hosts that do not answer are said to be so."""
        return [
            ServiceState(name=each.name, group=each.group, state=each.state, pid=each.pid, detail=each.detail)
            for each in self._world()
        ]

    def start(self, key: str, name: str) -> Operation:
        """Start a service or a group, those that others need first."""
        return self._begin(key, "start", name)

    def stop(self, key: str, name: str) -> Operation:
        """Stop a service or a group, those that others need last; it is not started again but by hand or by a boot."""
        return self._begin(key, "stop", name)

    def restart(self, key: str, name: str) -> Operation:
        """Restart a service, or those of a group in turn; one that does not run is started."""
        return self._begin(key, "restart", name)

    def poll(self, key: str) -> Operation:
        """Go on with an operation until there is something to wait for."""
        operation = own(self.store.get(key), DRIVER)
        while not operation.over:
            action: Any = operation.action
            turn = Turn.of(operation.result["turn"])  # type: ignore[arg-type] # as it was recorded
            seen = self._look(turn.member)
            move, detail = decide(action, turn, seen, time.time(), answers=self._answers(action, turn, seen))
            if move == "wait":
                return replace(operation, detail=detail)
            operation = self._go_on(operation, turn, seen, move, detail)
        return operation

    def _begin(self, key: str, action: Action, name: str) -> Operation:
        found = self.store.find(key)
        members = self._members(action, name) if found is None else ()
        operation = self.store.begin(key, driver=DRIVER, action=action, target=name)
        if "turn" not in operation.result:
            turn = self._entered(members or self._members(action, name), 0, {}, {})
            operation = self.store.update(operation, detail="begun", result={"turn": asdict(turn)})
        return self.poll(key)

    def _go_on(self, operation: Operation, turn: Turn, seen: Seen, move: str, detail: str) -> Operation:
        if move == "tell":
            operation = self._record(operation, replace(turn, told=time.time()), detail)
            words = as_user("root", "systemctl", "--no-block", operation.action, seen.unit.unit)
            try:
                self.remote.run(seen.host.name, words, within=TELL_SECONDS)
            except RemoteError as error:
                return self._record(operation, replace(turn, told=time.time()), str(error))
            return operation
        after = {**turn.after, turn.member: seen.pid}
        result: dict[str, Json] = {"before": turn.before, "after": after}
        if move == "fail":
            left = list(turn.members[turn.at + 1 :])
            detail += f"; left alone: {', '.join(left)}" if left else ""
            return self.store.failed(operation, detail=detail, result=result | {"failed": turn.member, "left": left})
        if turn.at + 1 < len(turn.members):
            return self._record(operation, self._entered(turn.members, turn.at + 1, turn.before, after), detail)
        result["changed"] = [name for name in turn.members if after[name] != turn.before[name]]
        if operation.action == "stop":
            result["needed_by"] = self._needing(turn.members)
        return self.store.done(operation, detail=detail, result=result)

    def _record(self, operation: Operation, turn: Turn, detail: str) -> Operation:
        return self.store.update(operation, detail=detail, result={"turn": asdict(turn)})

    def _entered(self, members: tuple[str, ...], at: int, before: Mapping[str, int], after: Mapping[str, int]) -> Turn:
        pid = self._look(members[at]).pid
        return Turn(
            members=members, at=at, since=time.time(), told=0.0, before={**before, members[at]: pid}, after=after
        )

    def _members(self, action: Action, name: str) -> tuple[str, ...]:
        world = self._world()
        found = [each.name for each in world if name in {each.name, each.group, each.unit.name} and each.state != _GONE]
        if not found or not name:
            known = dict.fromkeys(part for each in world for part in (each.group, each.name) if part)
            raise Refusal(f"there is no service {name[:100]!r}; there are {', '.join(known)}")
        return tuple(reversed(found)) if action == "stop" else tuple(found)

    def _needing(self, members: Sequence[str]) -> list[str]:
        stopped = {name.partition("/")[2] for name in members}
        away = {unit.group for unit in UNITS if unit.name in stopped}
        return [each.name for each in self._world() if each.pid and away & set(each.unit.needs)]

    def _answers(self, action: Action, turn: Turn, seen: Seen) -> bool:
        """Ask a unit's probe, on its own host, where the answer matters."""
        if seen.unit.probe is None or action == "stop" or not turn.told or seen.state != "running":
            return True
        port, path = seen.unit.probe
        url = f"https://{seen.host.address}:{port}{path}"
        words = as_user(
            "root", "curl", "--silent", "--fail", "--max-time=5", "--cacert", AUTHORITY, "--output=/dev/null"
        )
        try:
            self.remote.run(seen.host.name, [*words, url], within=ASK_SECONDS)
        except RemoteError:
            return False
        return True

    def _look(self, name: str) -> Seen:
        host_name, _, service = name.partition("/")
        for unit in UNITS:
            if unit.name == service:
                for host in self.remote.hosts(unit.role):
                    if host.name == host_name:
                        return self._on(host, (unit,))[0]
        raise Refusal(f"there is no service {name}")

    def _world(self) -> list[Seen]:
        """Look at all hosts at once; units in the order of UNITS."""
        units: dict[str, tuple[Host, list[Unit]]] = {}
        for unit in UNITS:
            for host in self.remote.hosts(unit.role):
                units.setdefault(host.name, (host, []))[1].append(unit)
        with ThreadPoolExecutor(max(1, len(units))) as pool:
            found = [each for part in pool.map(lambda one: self._on(*one), units.values()) for each in part]
        order = {unit: place for place, unit in enumerate(UNITS)}
        return sorted(found, key=lambda each: (order[each.unit], each.host.name))

    def _on(self, host: Host, units: Sequence[Unit]) -> list[Seen]:
        """Look at units of a host; those that are not installed are left out where others are asked for, too."""
        words = ["systemctl", "show", f"--property={_SHOWN}", *(unit.unit for unit in units)]
        try:
            said = self.remote.run(host.name, words, within=ASK_SECONDS)
        except UnreachableError as error:
            return [Seen(unit, host, _GONE, 0, str(error)) for unit in units]
        except RemoteError as error:
            raise Refusal(str(error)) from None
        return shown(said, host, units)


def shown(said: str, host: Host, units: Sequence[Unit]) -> list[Seen]:
    """Return what `systemctl show` says of units, without those that are not installed."""
    by_id = {unit.unit: unit for unit in units}
    found: list[Seen] = []
    for block in said.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        unit = by_id.get(values.get("Id", ""))
        if unit is None or values.get("LoadState") != "loaded":
            continue
        state = _STATES.get(values["ActiveState"], values["ActiveState"])
        detail = values["SubState"]
        if values.get("Result", "success") != "success":
            detail += f" ({values['Result']})"
        busy = values.get("Job", "") not in {"", "0"}
        found.append(Seen(unit, host, state, int(values.get("MainPID") or 0), detail, busy))
    return found
