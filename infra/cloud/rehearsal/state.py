"""What the last run left: each resource with its inputs and outputs, in the order of creation."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from infra.cloud.rehearsal.values import Props


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource. A component, the stack and a provider have no inputs that anything could be done with."""

    urn: str
    type: str
    name: str
    custom: bool
    parent: str = ""
    id: str = ""
    inputs: Props = field(default_factory=dict)
    outputs: Props = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    # Of which resources a property is made, by their URNs.
    made_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protect: bool = False
    # It is forgotten where others are deleted: somebody else uses it, too.
    retained: bool = False
    # It was created, but not to the end: the next run goes on with it.
    failed: bool = False

    @property
    def managed(self) -> bool:
        """Whether the provider has it."""
        return self.custom and not self.type.startswith("pulumi:")


class State:
    """Resources by URN, kept in a file after each step: a run that is killed loses nothing that it created."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.resources: dict[str, Resource] = {}
        # Those that were replaced, whose successors are there already: they go at the end of a run.
        self.replaced: list[Resource] = []
        self.outputs: Props = {}
        if path.exists():
            value: Any = orjson.loads(path.read_bytes())
            self.outputs = value["outputs"]
            made = [_resource(each) for each in value["resources"]]
            self.resources = {each.urn: each for each in made}
            self.replaced = [_resource(each) for each in value.get("replaced", ())]

    def put(self, resource: Resource) -> None:
        """Keep a resource; one that is already there keeps its place."""
        self.resources[resource.urn] = resource
        self.save()

    def drop(self, urn: str) -> None:
        """Forget one."""
        del self.resources[urn]
        self.save()

    def supersede(self, old: Resource) -> None:
        """Keep one whose successor is there, until it is deleted."""
        self.replaced.append(old)
        self.save()

    def forget(self, old: Resource) -> None:
        """Forget one whose successor is there."""
        self.replaced = [each for each in self.replaced if each is not old]
        self.save()

    def unprotect(self) -> None:
        """Take the protection off all of them."""
        self.resources = {urn: replace(each, protect=False) for urn, each in self.resources.items()}
        self.save()

    def managed(self) -> list[Resource]:
        """Return what the provider has, in the order of creation."""
        return [each for each in self.resources.values() if each.managed]

    def save(self) -> None:
        """Replace the file in one step: all of it after each resource, so that what writes it has to be quick."""
        value = {"outputs": self.outputs, "resources": list(self.resources.values()), "replaced": self.replaced}
        fresh = self.path.with_name(f"{self.path.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(value))
        fresh.replace(self.path)


def _resource(value: dict[str, Any]) -> Resource:
    made_of = {name: tuple(urns) for name, urns in value.get("made_of", {}).items()}
    return Resource(**{**value, "dependencies": tuple(value["dependencies"]), "made_of": made_of})
