"""A program's resource graph: what it registers, with made-up ids and nothing behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.monitor import Monitor
from infra.cloud.rehearsal.run import run
from infra.cloud.rehearsal.state import State
from infra.cloud.rehearsal.steps import Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pulumi.runtime.proto import resource_pb2

    from infra.cloud.rehearsal.state import Resource
    from infra.cloud.rehearsal.values import Props

ZONES = "aws:index/getAvailabilityZones:getAvailabilityZones"
_ANSWERS: dict[str, Any] = {
    "aws:index/getCallerIdentity:getCallerIdentity": {"id": "123456789012", "accountId": "123456789012"},
    "aws:index/getRegion:getRegion": {"id": "us-east-1", "region": "us-east-1", "name": "us-east-1"},
}


@dataclass(frozen=True)
class Registered:
    """A resource: its type token, its name in the program, its inputs as the wire has them (camelCase)."""

    type: str
    name: str
    inputs: Props
    parent: str = ""
    protect: bool = False
    # What it has to wait for, and whether it is only forgotten where others are deleted.
    dependencies: tuple[str, ...] = ()
    retained: bool = False
    # Properties whose changes are left alone, and whether the old one has to go before a new one comes.
    ignored: tuple[str, ...] = ()
    deleted_first: bool = False


class _Listening(Monitor):
    """Hears of the options that a plan of something new makes nothing of."""

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - the monitor's own
        super().__init__(*args, **more)
        self.options: dict[tuple[str, str, str], dict[str, Any]] = {}

    def RegisterResource(  # noqa: N802 - the protocol's name
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        self.options[request.parent, request.type, request.name] = {
            "ignored": tuple(request.ignoreChanges),
            "deleted_first": request.deleteBeforeReplace,
        }
        return super().RegisterResource(request)


class _Nobody(Provider):
    """Takes everything, and makes up what AWS would tell."""

    def __init__(self) -> None:
        self.made: list[Registered] = []

    def configure(self, region: str) -> None:
        """Take any region."""

    def check(self, wanted: Resource) -> Resource:
        return wanted

    def create(self, wanted: Resource, *, preview: bool) -> Resource:
        assert preview
        self.made.append(
            Registered(
                wanted.type,
                wanted.name,
                wanted.inputs,
                wanted.parent,
                wanted.protect,
                wanted.dependencies,
                wanted.retained,
            )
        )
        kind = wanted.type.rpartition(":")[2].lower()
        arn = f"arn:aws:{kind}:us-east-1:123456789012:{wanted.inputs.get('name') or wanted.name}"
        return replace(wanted, id=f"{wanted.name}-id", outputs={"arn": arn, **wanted.inputs})

    def invoke(self, token: str, arguments: Props) -> Props:
        if token == ZONES:
            where = str(arguments.get("region") or "us-east-1")
            return {"id": where, "names": [f"{where}{zone}" for zone in "abc"], "zoneIds": ["1", "2", "3"]}
        answer: Props = _ANSWERS.get(token, {"id": "ami-0123456789abcdef0", "imageId": "ami-0123456789abcdef0"})
        return answer


def recorded(program: Callable[[], None], configuration: Mapping[str, Any] | None = None) -> list[Registered]:
    """Run a program and return every resource that it registers, in order; components are left out."""
    nobody, monitor = _run(program, configuration)
    return [replace(each, **monitor.options[each.parent, each.type, each.name]) for each in nobody.made]


def components(program: Callable[[], None]) -> dict[str, Resource]:
    """Run a program and return its components by name, with what they wait for."""
    return {each.name: each for each in _run(program, None)[1].seen.values() if not each.custom}


def _run(program: Callable[[], None], configuration: Mapping[str, Any] | None) -> tuple[_Nobody, _Listening]:
    nobody = _Nobody()
    monitor = _Listening(nobody, State(Path("/nonexistent/state.json")), "simplicity", "test", apply=False)
    run(program, monitor, configuration or {})
    return nobody, monitor
