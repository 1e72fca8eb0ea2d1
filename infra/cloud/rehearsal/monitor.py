"""A small driver of the provider for machines without the `pulumi` command: plan, apply, refresh, destroy.

It has the interface of the SDK's resource monitor, as the SDK's own mocks do. What Pulumi's engine does beyond this
(parallel steps, targets, imports, aliases) is not here; where the engine is, the engine is used.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from google.protobuf import empty_pb2
from pulumi.runtime.proto import resource_pb2

from infra.cloud.rehearsal.order import doomed, endings
from infra.cloud.rehearsal.state import Resource, State
from infra.cloud.rehearsal.steps import HalfDoneError, Provider, RehearsalError, Step
from infra.cloud.rehearsal.values import plain, structure

if TYPE_CHECKING:
    from collections.abc import Callable

_FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
)


@dataclass
class Monitor:
    """What a running program registers with. `apply` False only plans; `tell` hears of each step.

    `order` decides what is deleted first of what could be.
    """

    provider: Provider
    state: State
    project: str
    stack: str
    apply: bool
    tell: Callable[[Step], None] = lambda _: None
    steps: list[Step] = field(default_factory=list)
    seen: dict[str, Resource] = field(default_factory=dict)
    order: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 # nosec B311 - repeatable
    # Deleted so that something they hang on could be replaced; the program makes them anew.
    _gone: dict[str, Resource] = field(default_factory=dict)
    _superseded: list[Resource] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # --- what the SDK calls ------------------------------------------------------------------------------------------
    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> resource_pb2.RegisterResourceResponse:
        """Bring one resource to what the program wants of it."""
        with self._lock:
            made = self._registered(request)
            self.seen[made.urn] = made
        return resource_pb2.RegisterResourceResponse(urn=made.urn, id=made.id, object=structure(made.outputs))

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> resource_pb2.ReadResourceResponse:
        """Find one that somebody else made."""
        urn = self._urn(request.parent, request.type, request.name)
        with self._lock:
            found = self.provider.read(
                Resource(urn=urn, type=request.type, name=request.name, custom=True, id=request.id)
            )
        if found is None:
            raise RehearsalError(f"{request.type} {request.name}: there is no {request.id}")
        return resource_pb2.ReadResourceResponse(urn=urn, properties=structure(found.outputs))

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> resource_pb2.ResourceInvokeResponse:
        """Ask the provider's function."""
        with self._lock:
            answer = self.provider.invoke(request.tok, plain(request.args))
        made = resource_pb2.ResourceInvokeResponse()
        getattr(made, "return").CopyFrom(structure(answer))  # a word of Python's
        return made

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> empty_pb2.Empty:
        """Keep the stack's outputs."""
        if self.apply and "::pulumi:pulumi:Stack::" in request.urn:
            with self._lock:
                self.state.outputs = plain(request.outputs)
                self.state.save()
        return empty_pb2.Empty()

    def GetDeploymentInfo(self, _request: empty_pb2.Empty) -> resource_pb2.DeploymentInfo:
        """Say what this monitor can do."""
        return resource_pb2.DeploymentInfo(
            project=self.project, stack=self.stack, dryRun=not self.apply, supportedFeatures=_FEATURES
        )

    def SignalAndWaitForShutdown(self, _request: empty_pb2.Empty) -> empty_pb2.Empty:
        """Nothing waits here."""
        return empty_pb2.Empty()

    # --- the end of a run --------------------------------------------------------------------------------------------
    def finish(self) -> None:
        """Delete what the program does not want any more, what depends on others first.

        Raises RehearsalError, before anything is deleted, where some of it is protected.
        """
        surplus = [there for there in self.state.resources.values() if there.urn not in self.seen]
        _refuse([there for there in reversed(surplus) if there.managed], "deleted")
        for urn in self._gone:
            self._begin(Step("delete", urn))
        for there in endings([*surplus, *self.state.replaced], self.order):
            if any(there is each for each in self.state.replaced):
                self._delete_replaced(there)
            else:
                self._delete(there)

    # --- one resource ------------------------------------------------------------------------------------------------
    def _registered(self, request: resource_pb2.RegisterResourceRequest) -> Resource:
        urn = self._urn(request.parent, request.type, request.name)
        if urn in self.seen:
            raise RehearsalError(f"{request.type} {request.name}: the program has two of them")
        wanted = Resource(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent,
            inputs=plain(request.object),
            dependencies=tuple(request.dependencies),
            made_of={name: tuple(each.urns) for name, each in request.propertyDependencies.items()},
            protect=request.protect,
            retained=request.retainOnDelete,
        )
        if not wanted.managed:
            made = replace(wanted, outputs=wanted.inputs, id=request.name if wanted.custom else "")
            if wanted.type == "pulumi:providers:aws":
                self.provider.configure(str(wanted.inputs["region"]))
            return self._kept(made)
        wanted = self.provider.check(wanted)
        there = self.state.resources.get(urn)
        if there is None:
            return self._create(wanted, self._first(wanted))
        ignored = tuple(request.ignoreChanges)
        # As the engine does: what is ignored stays what it was, in a change of something else as well.
        kept = {name: there.inputs[name] for name in ignored if name in there.inputs}
        return self._changed(there, replace(wanted, inputs={**wanted.inputs, **kept}), ignored)

    def _first(self, wanted: Resource) -> Step:
        if wanted.urn not in self._gone:
            return Step("create", wanted.urn, tuple(sorted(wanted.inputs)))
        different, _, _ = self.provider.diff(self._gone.pop(wanted.urn), wanted, ())
        return Step("replace", wanted.urn, different)

    def _create(self, wanted: Resource, step: Step) -> Resource:
        self._begin(step)
        try:
            return self._kept(self.provider.create(wanted, preview=not self.apply))
        except HalfDoneError as error:
            self._kept(error.resource)
            raise

    def _changed(self, there: Resource, wanted: Resource, ignored: tuple[str, ...]) -> Resource:
        different, replaced, delete_first = self.provider.diff(there, wanted, ignored)
        if not different and not there.failed:
            return self._kept(replace(wanted, id=there.id, outputs=there.outputs))
        if not replaced:
            self._begin(Step("update", wanted.urn, different))
            return self._kept(self.provider.update(there, wanted, ignored, preview=not self.apply))
        step = Step("replace", wanted.urn, different)
        _refuse([there], f"replaced ({', '.join(different)})")
        if delete_first and self.apply:
            self._make_room(there)
        try:
            return self._create(wanted, step)
        finally:
            # Others may use it until they have its successor.
            if self.apply and not delete_first and self.state.resources[there.urn] is not there:
                self._superseded.append(there)
                self.state.supersede(there)

    def _make_room(self, there: Resource) -> None:
        """Delete what is replaced, and before it what hangs on it and has to be replaced as well."""
        those = doomed(there, self.state.managed(), lambda old, wanted: self.provider.diff(old, wanted, ())[1])
        _refuse(those, f"replaced with {there.name}")
        for each in endings([there, *those], self.order):
            self._end(each)
            self.state.drop(each.urn)
        self._gone |= {each.urn: each for each in those}

    def _delete_replaced(self, there: Resource) -> None:
        if all(there is not each for each in self._superseded):
            self._begin(Step("delete", there.urn))  # an earlier run broke off before it came to this
        if self.apply:
            self._end(there)
            self.state.forget(there)

    def _delete(self, there: Resource) -> None:
        if there.managed:
            self._begin(Step("delete", there.urn))
            if self.apply:
                self._end(there)
        if self.apply:
            self.state.drop(there.urn)

    def _end(self, there: Resource) -> None:
        if not there.retained:
            self.provider.delete(there)

    def _begin(self, step: Step) -> None:
        self.steps.append(step)
        self.tell(step)

    def _kept(self, made: Resource) -> Resource:
        if self.apply:
            self.state.put(made)
        return made

    def _urn(self, parent: str, kind: str, name: str) -> str:
        if parent and "::pulumi:pulumi:Stack::" not in parent:
            kind = f"{parent.split('::')[2]}${kind}"
        return f"urn:pulumi:{self.stack}::{self.project}::{kind}::{name}"


def _refuse(those: list[Resource], what: str) -> None:
    protected = [Step("", each.urn).name for each in those if each.protect]
    if protected:
        raise RehearsalError(
            f"{', '.join(protected)} is protected and would have to be {what}: `pulumi state unprotect` it first, "
            "if that is what you want"
        )
