"""One step of a plan: what is done to one resource, and through whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.rpc import status_pb2  # type: ignore[import-untyped]  # ships no types
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from infra.cloud.rehearsal.values import Props, plain, structure

if TYPE_CHECKING:
    from infra.cloud.rehearsal.state import Resource

_DETAILS = "grpc-status-details-bin"


class RehearsalError(Exception):
    """A step fails: one line that names the resource and says why."""


class HalfDoneError(RehearsalError):
    """It is there, but not all of it: `resource` is what there is."""

    def __init__(self, reason: str, resource: Resource) -> None:
        super().__init__(reason)
        self.resource = resource


@dataclass(frozen=True)
class Step:
    """What a plan does to a resource: create, update, replace, delete or nothing; `changed` are properties."""

    op: str
    urn: str
    changed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The resource as people call it: its type and its name."""
        _, _, kind, name = self.urn.split("::", 3)
        return f"{kind.rsplit('$', 1)[-1]} {name}"


class Provider:
    """The provider behind a channel; each failure names the resource."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def configure(self, region: str) -> None:
        """Say which region is meant where a resource does not."""
        self._call("Configure", "the provider", provider_pb2.ConfigureRequest(args=structure({"region": region})))

    def check(self, wanted: Resource) -> Resource:
        """Return a resource with its defaults; raises RehearsalError for each property that is not known."""
        request = provider_pb2.CheckRequest(
            urn=wanted.urn, type=wanted.type, name=wanted.name, news=structure(wanted.inputs)
        )
        answer = self._call("Check", wanted.urn, request)
        if answer.failures:
            raise RehearsalError(f"{_called(wanted.urn)}: {'; '.join(each.reason for each in answer.failures)}")
        return replace(wanted, inputs=plain(answer.inputs))

    def diff(self, there: Resource, wanted: Resource, ignored: tuple[str, ...]) -> tuple[tuple[str, ...], bool, bool]:
        """Return what differs, whether it has to be replaced, and whether the old one goes first."""
        request = provider_pb2.DiffRequest(
            id=there.id,
            urn=wanted.urn,
            type=wanted.type,
            name=wanted.name,
            olds=structure(there.outputs),
            news=structure(wanted.inputs),
            old_inputs=structure(there.inputs),
            ignoreChanges=ignored,
        )
        answer = self._call("Diff", wanted.urn, request)
        return tuple(answer.diffs), bool(answer.replaces), answer.deleteBeforeReplace

    def create(self, wanted: Resource, *, preview: bool) -> Resource:
        """Create it, or say what would be known of it."""
        request = provider_pb2.CreateRequest(
            urn=wanted.urn, type=wanted.type, name=wanted.name, properties=structure(wanted.inputs), preview=preview
        )
        answer = self._call("Create", wanted.urn, request, wanted)
        return replace(wanted, id=answer.id, outputs=plain(answer.properties))

    def update(self, there: Resource, wanted: Resource, ignored: tuple[str, ...], *, preview: bool) -> Resource:
        """Change it in place."""
        request = provider_pb2.UpdateRequest(
            id=there.id,
            urn=wanted.urn,
            type=wanted.type,
            name=wanted.name,
            olds=structure(there.outputs),
            news=structure(wanted.inputs),
            old_inputs=structure(there.inputs),
            ignoreChanges=ignored,
            preview=preview,
        )
        answer = self._call("Update", wanted.urn, request, wanted)
        return replace(wanted, id=there.id, outputs=plain(answer.properties))

    def read(self, there: Resource) -> Resource | None:
        """Return what there is of it now; None when it is gone."""
        request = provider_pb2.ReadRequest(
            id=there.id,
            urn=there.urn,
            type=there.type,
            name=there.name,
            properties=structure(there.outputs),
            inputs=structure(there.inputs),
        )
        answer = self._call("Read", there.urn, request)
        if not answer.id:
            return None
        return replace(there, outputs=plain(answer.properties), inputs=plain(answer.inputs))

    def delete(self, there: Resource) -> None:
        """Delete it; one that is gone already is no failure."""
        request = provider_pb2.DeleteRequest(
            id=there.id,
            urn=there.urn,
            type=there.type,
            name=there.name,
            properties=structure(there.outputs),
            old_inputs=structure(there.inputs),
        )
        self._call("Delete", there.urn, request)

    def invoke(self, token: str, arguments: Props) -> Props:
        """Ask a function."""
        request = provider_pb2.InvokeRequest(tok=token, args=structure(arguments))
        return plain(getattr(self._call("Invoke", token, request), "return"))

    def _call(self, method: str, about: str, request: Any, wanted: Resource | None = None) -> Any:  # noqa: ANN401 - messages
        try:
            return getattr(self._stub, method)(request)
        except grpc.RpcError as error:
            _fail(error, about, wanted)


def _fail(error: grpc.RpcError, about: str, wanted: Resource | None) -> NoReturn:
    reason = f"{_called(about)}: {error.details()}"
    metadata: Any = error.trailing_metadata() or ()
    for name, value in metadata:
        if name == _DETAILS and wanted is not None:
            failed = provider_pb2.ErrorResourceInitFailed()
            status_pb2.Status.FromString(value).details[0].Unpack(failed)
            made = replace(wanted, id=failed.id, outputs=plain(failed.properties), failed=True)
            raise HalfDoneError(reason, made) from None
    raise RehearsalError(reason) from None


def _called(urn: str) -> str:
    return Step("", urn).name if urn.startswith("urn:") else urn
