"""How many machines there are: those of a fleet that this machine boots. What a machine is, playbooks make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.environment import load
from infra.fleet import lab
from infra.fleet.storage import storage
from infra.local.layout import EnvelopeError, layout
from infra.local.lock import exclusive
from runbooks.drivers.operations import own
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from infra.environment import Environment
    from infra.fleet.plan import Machine, Role
    from infra.fleet.storage import Storage
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Operation

NAME, ACTION = "hosts", "scale"
# What can be scaled, and the role of its machines. Databases and balancers are pairs by design.
GROUPS: dict[str, Role] = {"api": "application"}
MOST = 20


@dataclass(frozen=True, slots=True)
class HostScaler:
    """Scaler for a fleet; the machine that came last goes first."""

    environment: Environment
    store: OperationStore

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: add and remove machines."""
        return frozenset({"out", "in"})

    def size(self, group: str) -> int:
        """Return how many machines there are."""
        return len(self.machines(group))

    def machines(self, group: str) -> tuple[str, ...]:
        """Return the names of the machines, that which would go first last."""
        return tuple(each.name for each in self._machines(_role(group)))

    def goes_first(self, group: str, name: str) -> None:
        """Let a machine be the next to go. Raises Refusal where there is none of that name."""
        if name not in self.machines(group):
            raise Refusal(f"there is no host {name[:60]!r} of {group}; there are {', '.join(self.machines(group))}")
        place = self._storage()
        with exclusive(place.lock, "infrastructure scale"):
            lab.put_last(place, name)

    def now(self) -> Environment:
        """Return the environment as it is: machines have come or gone since the document was read."""
        return load(self._storage().environment)

    def scale(self, key: str, group: str, size: int) -> Operation:
        """Make it so many machines; DONE when each new one answers."""
        there = self.machines(group)
        if not 1 <= size <= MOST:
            raise Refusal(f"{group} can have 1 to {MOST} hosts, not {size}")
        begun = self.store.begin(key, driver=NAME, action=ACTION, target=group, arguments={"size": size})
        if not begun.over and "before" not in begun.result:
            self.store.update(begun, detail=f"{len(there)} hosts, {size} wanted", result={"before": list(there)})
        return self.poll(key)

    def poll(self, key: str) -> Operation:
        """Add or remove one machine, or find that all is done; a machine that was not finished is made anew."""
        operation = own(self.store.get(key), NAME)
        if operation.over:
            return operation
        place = self._storage()
        try:
            with exclusive(place.lock, "infrastructure scale"):
                return self._step(place, operation)
        except EnvelopeError as error:
            return self.store.failed(operation, detail=str(error), result=operation.result)

    def _step(self, place: Storage, operation: Operation) -> Operation:
        wanted: Any = operation.arguments["size"]
        before: Any = operation.result["before"]
        role = _role(operation.target)
        there = self._machines(role)
        if len(there) > wanted:
            lab.remove(place, there[-1].name)
            return self.store.update(operation, detail=f"{there[-1].name} is gone", result={})
        answering = {each.name for each in lab.status(place) if each.answers}
        half = next((each.name for each in there if each.name not in {*before, *answering}), None)
        if half is not None:
            lab.rebuild(place, half, lambda _: None)
            return self.store.update(operation, detail=f"{half} was not finished, and is made anew", result={})
        if len(there) < wanted:
            added = lab.add(place, role, lambda _: None)
            return self.store.update(operation, detail=f"{added.name} is there", result={})
        names = [each.name for each in there]
        return self.store.done(
            operation,
            detail=f"{len(names)} hosts: {', '.join(names)}",
            result={
                "before": before,
                "hosts": names,
                "added": [name for name in names if name not in before],
                "removed": [name for name in before if name not in names],
            },
        )

    def _machines(self, role: Role) -> tuple[Machine, ...]:
        try:
            return lab.loaded(self._storage()).plan.of(role)
        except EnvelopeError as error:
            raise Refusal(str(error)) from None

    def _storage(self) -> Storage:
        """Return where the fleet lies. Raises Refusal where the document is of another one."""
        place = storage(layout())
        config = self.environment.drivers["hosts"].settings.get("config")
        if config != str(place.ssh_config):
            raise Refusal(
                f"this document is of the fleet with {config}, SIMPLICITY_HOME has {place.ssh_config};"
                " set SIMPLICITY_HOME to the home of the document's fleet"
            )
        return place


def _role(group: str) -> Role:
    if group not in GROUPS:
        raise Refusal(f"{group[:60]!r} cannot be scaled; what can: {', '.join(GROUPS)}")
    return GROUPS[group]
