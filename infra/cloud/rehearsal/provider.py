"""The rehearsal's provider, as Pulumi's protocol asks for one: it stands in for the plugin `aws`.

It is written to the protocol alone, so that Pulumi's engine can drive it as well as our small driver.
"""

from __future__ import annotations

from concurrent import futures
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol

import grpc
from botocore.exceptions import (  # type: ignore[import-untyped]  # botocore ships no types
    BotoCoreError,
    ClientError,
)
from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2  # type: ignore[import-untyped]  # ships no types
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.cloud.rehearsal.compare import changed
from infra.cloud.rehearsal.invokes import INVOKES, InvokeError
from infra.cloud.rehearsal.kind import BegunError, gone
from infra.cloud.rehearsal.kinds import KINDS
from infra.cloud.rehearsal.values import UNKNOWN, Props, has_unknown, plain, structure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.cloud.rehearsal.kind import Aws, Kind

VERSION = "7.51.1"
_DETAILS = "grpc-status-details-bin"
_MEGABYTES = 64 * 1024 * 1024
# Stands for a property of which nobody knows whether it was set: equal to nothing that a program could want.
_NOT_KNOWN = "not known: its creation broke off"


class _Typed(Protocol):
    """A request about a resource."""

    type: str
    urn: str


class _Status(grpc.Status):
    """A status with details, as grpc takes it."""

    def __init__(self, message: str, details: status_pb2.Status) -> None:
        self.code, self.details = grpc.StatusCode.UNKNOWN, message
        self.trailing_metadata = ((_DETAILS, details.SerializeToString()),)


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Creates, reads, changes and deletes by the table; `reach` gives the clients of a region."""

    def __init__(self, reach: Callable[[str], Aws], region: str = "us-east-1") -> None:
        self._reach = reach
        self._region = region

    # --- the plugin itself -------------------------------------------------------------------------------------------
    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Agree on the protocol: secrets and resources are not told apart here."""
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """Say whose place this takes."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        """There is none: programs bring their own SDK."""
        return provider_pb2.GetSchemaResponse(schema="{}")

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Hear where the engine is, which attaches instead of starting a plugin; nothing is told to it."""
        return empty_pb2.Empty()

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        """Take the configuration as it is."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say whether the configuration differs."""
        same = plain(request.olds) == plain(request.news)
        changes = provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        return provider_pb2.DiffResponse(changes=changes)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        """Learn which region is meant where a resource does not say."""
        self._region = plain(request.args).get("region") or self._region
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Nothing runs on."""
        return empty_pb2.Empty()

    # --- resources ---------------------------------------------------------------------------------------------------
    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        """Fill in the defaults; refuse what the table does not have."""
        kind, wanted = self._kind(request, context), plain(request.news)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=f"the rehearsal has no property {name} of {kind.type}")
            for name in sorted(set(wanted) - kind.properties)
        ]
        return provider_pb2.CheckResponse(inputs=structure({**kind.defaults, **wanted}), failures=failures)

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        """Say what differs and whether that takes a replacement."""
        kind, wanted = self._kind(request, context), plain(request.news)
        found, before = plain(request.olds), plain(request.old_inputs)
        properties = kind.properties - set(request.ignoreChanges)
        different = changed(properties, wanted, found, before, kind.exact)
        replaces = [name for name in different if name not in kind.updates]
        words = provider_pb2.PropertyDiff
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if different else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=different,
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and kind.delete_first,
            detailedDiff={
                name: words(kind=words.UPDATE_REPLACE if name in replaces else words.UPDATE) for name in different
            },
            hasDetailedDiff=True,
        )

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        """Create it and tell what there is, or, for a preview, what is known of it."""
        kind, wanted = self._kind(request, context), plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=structure(wanted))
        aws = self._aws(wanted)
        try:
            with _told(context):
                made = kind.create(aws, wanted)
        except BegunError as error:
            _abort_half_done(context, error.made, self._begun(kind, aws, error.made, wanted), str(error))
        with _half_done(context, made, wanted):
            state = self._read(kind, aws, made, wanted)
        return provider_pb2.CreateResponse(id=made, properties=structure(state or wanted))

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        """Tell what there is."""
        kind, known, before = self._kind(request, context), plain(request.properties), plain(request.inputs)
        given = {**before, **known}
        with _told(context):
            try:
                state = self._read(kind, self._aws(given), request.id, given)
            except LookupError as error:
                if given:
                    raise
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{kind.type} {_by_id_alone(request.id, error)}")
        if state is None:
            return provider_pb2.ReadResponse()
        asked = before or dict.fromkeys(kind.properties)
        inputs = {name: state[name] for name in asked if name in state}
        return provider_pb2.ReadResponse(id=request.id, properties=structure(state), inputs=structure(inputs))

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        """Change in place what differs."""
        kind, wanted = self._kind(request, context), plain(request.news)
        found, before = plain(request.olds), plain(request.old_inputs)
        if request.preview:
            unknown = dict.fromkeys(kind.moving, UNKNOWN)
            return provider_pb2.UpdateResponse(properties=structure({**found, **wanted, **unknown}))
        aws = self._aws(wanted)
        different = changed(kind.properties - set(request.ignoreChanges), wanted, found, before, kind.exact)
        # A failure leaves what was known: told as half done it would count as changed, and no later run would do it.
        with _told(context):
            for change in dict.fromkeys(kind.updates[name] for name in different):
                change(aws, request.id, wanted)
            state = self._read(kind, aws, request.id, {**found, **wanted})
        return provider_pb2.UpdateResponse(properties=structure(state or wanted))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Delete it; what is gone already is no failure."""
        kind, known = self._kind(request, context), plain(request.properties)
        with _told(context):
            try:
                kind.delete(self._aws(known), request.id, known)
            except ClientError as error:
                if not gone(error):
                    raise
        return empty_pb2.Empty()

    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        """Answer a function."""
        arguments = plain(request.args)
        if request.tok not in INVOKES:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the rehearsal has no function {request.tok}")
        if has_unknown(arguments):
            return _answer({"id": UNKNOWN})
        with _told(context):
            found = INVOKES[request.tok](self._aws(arguments), arguments)
        return _answer(found)

    # --- helpers -----------------------------------------------------------------------------------------------------
    def _kind(self, request: _Typed, context: grpc.ServicerContext) -> Kind:
        token = request.type or request.urn.split("::")[2].split("$")[-1]
        if token not in KINDS:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the rehearsal has no type {token}")
        return KINDS[token]

    def _aws(self, values: Props) -> Aws:
        return self._reach(values.get("region") or self._region)

    def _begun(self, kind: Kind, aws: Aws, made: str, wanted: Props) -> Props:
        """Return what is known of something of which only the first call went well: the next run does the rest."""
        once = {name: value for name, value in wanted.items() if name in kind.fixed | kind.unread | {"region"}}
        try:
            state = self._read(kind, aws, made, wanted)
        except (ClientError, BotoCoreError, LookupError):
            state = None
        return {**once, **(state or dict.fromkeys(set(wanted) - set(once), _NOT_KNOWN))}

    def _read(self, kind: Kind, aws: Aws, made: str, known: Props) -> Props | None:
        try:
            state = kind.read(aws, made, known)
        except ClientError as error:
            if gone(error):
                return None
            raise
        if state is None:
            return None
        unread = {name: known[name] for name in kind.unread if name in known}
        region = {"region": known["region"]} if "region" in known else {}
        return {"id": made, **state, **unread, **region}


def _answer(values: Props) -> provider_pb2.InvokeResponse:
    made = provider_pb2.InvokeResponse()
    getattr(made, "return").CopyFrom(structure(values))  # a word of Python's
    return made


def _by_id_alone(made: str, error: LookupError) -> str:
    known = f"{error.args[0]!r}" if isinstance(error, KeyError) else "what else it takes"
    return f"{made} cannot be read by its id alone: {known} is not known"


@contextmanager
def _told(context: grpc.ServicerContext) -> Iterator[None]:
    """Pass on what AWS says, in its words."""
    try:
        yield
    except (ClientError, BotoCoreError, InvokeError) as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


@contextmanager
def _half_done(context: grpc.ServicerContext, made: str, known: Props) -> Iterator[None]:
    """Say, when it fails from here on, that the resource is there: the next run goes on with it."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        _abort_half_done(context, made, known, str(error))


def _abort_half_done(context: grpc.ServicerContext, made: str, known: Props, reason: str) -> NoReturn:
    failed = provider_pb2.ErrorResourceInitFailed(
        id=made, properties=structure(known), inputs=structure(known), reasons=[reason]
    )
    packed = any_pb2.Any()
    packed.Pack(failed)
    details = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason, details=[packed])
    context.abort_with_status(_Status(reason, details))
    raise AssertionError


@contextmanager
def serve(reach: Callable[[str], Aws], region: str = "us-east-1", port: int = 0) -> Iterator[int]:
    """Serve the provider on loopback and give its port, as PULUMI_DEBUG_PROVIDERS=aws:PORT takes it."""
    options = [("grpc.max_receive_message_length", _MEGABYTES), ("grpc.max_send_message_length", _MEGABYTES)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(reach, region), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield bound
    finally:
        server.stop(grace=None).wait()
