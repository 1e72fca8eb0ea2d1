"""A stack that Pulumi's own engine drives: the same provider, the `pulumi` command instead of our small driver."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pulumi import automation

from infra.cloud.rehearsal.emulator import clients
from infra.cloud.rehearsal.lab import PROJECT, Lab
from infra.cloud.rehearsal.provider import serve
from infra.cloud.rehearsal.state import Resource, State
from infra.cloud.rehearsal.steps import Provider, RehearsalError, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

_NOTHING = {"same", "read", "refresh", "discard"}
_MADE_AGAIN = {"create-replacement", "replace"}
_REPLACE = {*_MADE_AGAIN, "delete-replaced", "read-replacement"}
# That something is protected is said in a second line.
_ERROR = re.compile(r"error: (.+(?:\n\s*(?:as it is currently|because it is) .+)?)")

_END = re.compile(r"^(update|preview) failed$")


def there() -> bool:
    """Whether there is an engine: the `pulumi` command on PATH."""
    return shutil.which("pulumi") is not None


@dataclass
class EngineLab(Lab):
    """A stack whose state the engine keeps in a directory, its secrets encrypted by a passphrase."""

    directory: str = ""
    port: int = 0
    passphrase: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def refresh(self) -> None:
        """Have the engine take what is there as what is there."""
        with self._ending(_nothing) as stack:
            stack.refresh(color="never")

    def destroy(self) -> list[Step]:
        """Have the engine delete everything; what is protected refuses."""
        steps: list[Step] = []
        with self._ending(_nothing) as stack:
            # The engine would delete all that is not protected until it comes to what is.
            stack.preview_destroy(color="never")
            stack.destroy(color="never", on_event=partial(_heard, steps, self.tell))
        return settled(steps)

    def unprotect(self) -> None:
        """Take the protection off, as people do it."""
        with self._ending(_nothing) as stack:
            stack.workspace.pulumi_command.run(
                ["state", "unprotect", "--all", "--yes", "--stack", self.stack],
                self.directory,
                self._environment(),
            )

    def _run(self, program: Callable[[], None], *, apply: bool) -> list[Step]:
        steps: list[Step] = []
        hear = partial(_heard, steps, self.tell)
        with self._ending(program) as stack:
            if apply:
                stack.up(color="never", on_event=hear)
            else:
                stack.preview(color="never", on_event=hear)
        return settled(steps)

    @contextmanager
    def _ending(self, program: Callable[[], None]) -> Iterator[automation.Stack]:
        """Give the engine's stack; in the end, a bad one too, what it left is loaded."""
        with _said():
            stack = self._stack(program)
            try:
                yield stack
            finally:
                self._load(stack)

    def _stack(self, program: Callable[[], None]) -> automation.Stack:
        settings = automation.ProjectSettings(
            name=PROJECT, runtime="python", backend=automation.ProjectBackend(url=f"file://{self.directory}")
        )
        stack = automation.create_or_select_stack(
            stack_name=self.stack,
            project_name=PROJECT,
            program=program,
            opts=automation.LocalWorkspaceOptions(
                work_dir=self.directory,
                pulumi_home=f"{self.directory}/home",
                project_settings=settings,
                env_vars=self._environment(),
            ),
        )
        stack.set_all_config({name: _value(value) for name, value in self.configuration.items()})
        return stack

    def _environment(self) -> dict[str, str]:
        """Return what every command runs with: a backend in this machine's environment would win over the project's."""
        return {
            "PULUMI_BACKEND_URL": f"file://{self.directory}",
            "PULUMI_HOME": f"{self.directory}/home",
            "PULUMI_CONFIG_PASSPHRASE": self.passphrase,
            "PULUMI_DEBUG_PROVIDERS": f"aws:{self.port}",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PATH": os.environ["PATH"],
        }

    def _load(self, stack: automation.Stack) -> None:
        deployment: Mapping[str, Any] = stack.export_stack().deployment or {}
        # One that was replaced and is not deleted yet is there a second time.
        values = [each for each in deployment.get("resources") or () if not each.get("delete")]
        self.state.resources = {each["urn"]: _resource(each) for each in values}
        self.state.save()


@contextmanager
def engine_lab(
    endpoint: str, directory: Path, stack: str, region: str, configuration: Mapping[str, Any]
) -> Iterator[EngineLab]:
    """Give a stack that the engine drives, its state in a directory, at a running emulator."""
    reach = partial(clients, endpoint)
    directory.mkdir(mode=0o700, exist_ok=True)
    with serve(reach, region) as port:
        provider = Provider(port)
        try:
            state = State(directory / "seen.json")
            yield EngineLab(stack, region, state, provider, reach, configuration, directory=str(directory), port=port)
        finally:
            provider.close()


def _nothing() -> None:
    """Want nothing: the engine does not ask a program for what it refreshes or destroys."""


def _heard(steps: list[Step], tell: Callable[[Step], None], event: automation.EngineEvent) -> None:
    """Take down what the engine does to a resource, in the engine's own words; a resource is told once."""
    if event.resource_pre_event is None:
        return
    metadata = event.resource_pre_event.metadata
    op = str(metadata.op.value)
    if op in _NOTHING or metadata.type.startswith(("pulumi:", "simplicity:")):
        return
    step = Step(op, metadata.urn, tuple(sorted(metadata.diffs or ())))
    if all(step.urn != other.urn for other in steps):
        tell(replace(step, op="replace") if op in _REPLACE else step)
    steps.append(step)


def settled(heard: Iterable[Step]) -> list[Step]:
    """Return one step for each resource, of the several that the engine takes to replace or to delete it."""
    by_urn: dict[str, list[Step]] = {}
    for each in heard:
        by_urn.setdefault(each.urn, []).append(each)
    return [_settled(steps) for steps in by_urn.values()]


def _settled(steps: list[Step]) -> Step:
    ops = {each.op for each in steps}
    changed = next((each.changed for each in steps if each.changed), ())
    # What has to go with something that is replaced is told as a part of a replacement, and is not made again.
    if "delete" in ops or ("delete-replaced" in ops and not ops & _MADE_AGAIN):
        op = "delete"
    else:
        op = "replace" if ops & _REPLACE else steps[0].op
    return Step(op, steps[0].urn, changed)


def _resource(value: Mapping[str, Any]) -> Resource:
    return Resource(
        urn=value["urn"],
        type=value["type"],
        name=value["urn"].rpartition("::")[2],
        custom=bool(value.get("custom")),
        parent=value.get("parent", ""),
        id=value.get("id", ""),
        inputs=value.get("inputs") or {},
        outputs=value.get("outputs") or {},
        dependencies=tuple(value.get("dependencies") or ()),
        made_of={name: tuple(urns or ()) for name, urns in (value.get("propertyDependencies") or {}).items()},
        protect=bool(value.get("protect")),
        retained=bool(value.get("retainOnDelete")),
        failed=bool(value.get("initErrors")),
    )


def _value(value: Any) -> automation.ConfigValue:  # noqa: ANN401 - any JSON value
    return automation.ConfigValue(value if isinstance(value, str) else json.dumps(value))


@contextmanager
def _said() -> Iterator[None]:
    """Pass on what the engine says went wrong, without its output."""
    try:
        yield
    except automation.CommandError as error:
        found = dict.fromkeys(" ".join(line.split()) for line in _ERROR.findall(str(error)) if not _END.search(line))
        # It says some of it twice, and the reason only once.
        lines = [line for line in found if not any(other != line and other.startswith(line) for other in found)]
        raise RehearsalError("; ".join(lines) or str(error).strip()[-400:]) from None
