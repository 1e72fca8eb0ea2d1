"""Drift: what is not any more as the last run left it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kinds import KINDS
from infra.cloud.rehearsal.steps import Step

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from infra.cloud.rehearsal.kind import Aws, Kind
    from infra.cloud.rehearsal.state import Resource, State
    from infra.cloud.rehearsal.steps import Provider
    from infra.cloud.rehearsal.values import Props


@dataclass(frozen=True)
class Drift:
    """One resource: which of its properties differ, as they were and as they are; none where all of it is gone."""

    urn: str
    was: Props
    now: Props | None

    @property
    def line(self) -> str:
        """Say it in one line."""
        name = Step("", self.urn).name
        if self.now is None:
            return f"{name} is gone"
        return f"{name}: " + "; ".join(
            f"{each} was {self.was.get(each)!r}, is {self.now.get(each)!r}" for each in self.was
        )


def find(state: State, provider: Provider) -> list[Drift]:
    """Ask AWS for every resource and return those that differ from what the last run left."""
    drifts = []
    for there in state.managed():
        now = provider.read(there)
        if now is None:
            drifts.append(Drift(there.urn, {}, None))
            continue
        names = sorted(KINDS[there.type].properties)
        different = [name for name in names if there.outputs.get(name) != now.outputs.get(name)]
        if different:
            was = {name: there.outputs.get(name) for name in different}
            drifts.append(Drift(there.urn, was, {name: now.outputs.get(name) for name in different}))
    return drifts


def refresh(state: State, provider: Provider) -> None:
    """Take what AWS tells as what is there: the next plan brings it back to what the program wants."""
    for there in state.managed():
        now = provider.read(there)
        if now is None:
            state.drop(there.urn)
        else:
            state.put(now)


@dataclass(frozen=True)
class Injection:
    """A change that nobody planned, made through AWS's API behind the program's back."""

    urn: str
    property: str


def inject(
    resources: Iterable[Resource], reach: Callable[[str], Aws], region: str, seed: random.Random
) -> list[Injection]:
    """Change one random property of one random resource of each type that can be changed in place."""
    by_type: dict[str, list[Resource]] = {}
    for each in resources:
        by_type.setdefault(each.type, []).append(each)
    done = []
    for token in sorted(by_type):
        kind = KINDS[token]
        choices = [(there, name) for there in by_type[token] for name in changeable(kind, there)]
        if choices:
            done.append(inject_one(*seed.choice(choices), reach, region))
    return done


def changeable(kind: Kind, there: Resource) -> list[str]:
    """Return the properties of a resource that a drill can change in place."""
    there_too = (name for name in sorted(kind.updates) if name in there.inputs and there.outputs.get(name) is not None)
    return [name for name in there_too if _other(kind, there, name)]


def inject_one(there: Resource, name: str, reach: Callable[[str], Aws], region: str) -> Injection:
    """Change one property."""
    kind = KINDS[there.type]
    (value,) = _other(kind, there, name)
    wanted = {**kind.defaults, **there.inputs, name: value}
    kind.updates[name](reach(region_of(there, region)), there.id, wanted)
    return Injection(there.urn, name)


def region_of(there: Resource, region: str) -> str:
    """Return where a resource lies: in the stack's own region, unless it says another one."""
    return str(there.inputs.get("region") or region)


def _other(kind: Kind, there: Resource, name: str) -> tuple[Any, ...]:
    """Return another value of a property, alone; nothing where none can be told."""
    value = there.outputs.get(name)
    if name in kind.unread:
        return ()
    if name in kind.drifts:
        other = kind.drifts[name](value)
        return () if other == value else (other,)
    match value:
        case bool():
            return (not value,)
        case int():
            return (value + 1,)
        case dict() if name == "tags":
            return ({**value, "drifted": "yes"},)
        case _:
            return ()
