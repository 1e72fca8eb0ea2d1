"""A stack that Pulumi's engine drives, without the engine: what it is run with, and what is made of its words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from pulumi import automation

from infra.cloud.rehearsal.engine import EngineLab, settled
from infra.cloud.rehearsal.rehearse import PROTECTED
from infra.cloud.rehearsal.state import State
from infra.cloud.rehearsal.steps import Provider, RehearsalError, Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VPC, SUBNET = (
    "urn:pulumi:test::simplicity::aws:ec2/vpc:Vpc::net",
    "urn:pulumi:test::simplicity::aws:ec2/subnet:Subnet::a",
)
# What the engine writes on its output when it is to delete, or to replace, what is protected.
NOT_DELETED = (
    f'error: Preview failed: resource "{VPC}" cannot be deleted\n'
    "because it is protected. To unprotect the resource, either remove the `protect` flag\n"
)
NOT_REPLACED = (
    f'error: unable to replace resource "{VPC}"\n'
    "as it is currently marked for protection. To unprotect the resource, remove the `protect` flag\n"
    "error: preview failed\n"
    f'error: unable to replace resource "{VPC}"\n'
)


@dataclass
class Stack:
    """Takes down what it is told to do, and says what it was made to say."""

    refusing: dict[str, str] = field(default_factory=dict)
    events: tuple[automation.EngineEvent, ...] = ()
    resources: list[dict[str, Any]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    options: automation.LocalWorkspaceOptions | None = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        def do(color: str = "", on_event: Callable[[automation.EngineEvent], None] = lambda _: None) -> None:
            assert color == "never"
            self.done.append(name)
            for each in self.events:
                on_event(each)
            if name in self.refusing:
                raise automation.CommandError(automation.CommandResult(self.refusing[name], "", 1))

        return do

    def set_all_config(self, _: object) -> None:
        """Take any."""

    def export_stack(self) -> automation.Deployment:
        return automation.Deployment(3, {"resources": self.resources})


def event(op: str, urn: str, *diffs: str) -> automation.EngineEvent:
    kind = urn.split("::")[2]
    metadata = automation.StepEventMetadata(automation.OpType(op), urn, kind, "aws", diffs=list(diffs))
    return automation.EngineEvent(0, 0, resource_pre_event=automation.ResourcePreEvent(metadata))


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    made = Stack()

    def select(opts: automation.LocalWorkspaceOptions, **_: object) -> Stack:
        made.options = opts
        return made

    monkeypatch.setattr(automation, "create_or_select_stack", select)
    return made


@pytest.fixture
def driven(tmp_path: Path) -> EngineLab:
    state = State(tmp_path / "seen.json")
    return EngineLab("test", "us-east-1", state, Provider(1), lambda _: None, directory=str(tmp_path), port=9)  # type: ignore[arg-type,return-value]


def nothing() -> None:
    """Want nothing."""


def test_a_backend_that_is_exported_on_this_machine_is_not_touched(
    driven: EngineLab, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://the-state-of-production")
    monkeypatch.setenv("PULUMI_HOME", "/home/somebody/.pulumi")
    driven.plan(nothing)
    assert stack.options is not None
    given = dict(stack.options.env_vars or {})
    assert (given["PULUMI_BACKEND_URL"], given["PULUMI_HOME"]) == (f"file://{tmp_path}", f"{tmp_path}/home")


def test_a_deletion_is_planned_first_so_that_nothing_goes_before_what_is_protected_refuses(
    driven: EngineLab, stack: Stack
) -> None:
    stack.refusing["preview_destroy"] = NOT_DELETED
    with pytest.raises(RehearsalError, match=r"Vpc::net. cannot be deleted because it is protected") as refused:
        driven.destroy()
    assert stack.done == ["preview_destroy"]
    assert PROTECTED.search(str(refused.value))
    stack.refusing.clear()
    driven.destroy()
    assert stack.done[1:] == ["preview_destroy", "destroy"]


def test_a_replacement_of_what_is_protected_is_told_with_its_reason(driven: EngineLab, stack: Stack) -> None:
    stack.refusing["preview"] = NOT_REPLACED
    with pytest.raises(RehearsalError) as refused:
        driven.plan(nothing)
    assert str(refused.value).startswith(f'unable to replace resource "{VPC}" as it is currently marked for protection')
    assert "failed" not in str(refused.value)
    assert str(refused.value).count("unable to replace") == 1
    assert PROTECTED.search(str(refused.value))


def test_an_engine_that_cannot_open_the_stack_says_why_in_one_line(
    driven: EngineLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def select(**_: object) -> None:
        raise automation.CommandError(automation.CommandResult("", "error: incorrect passphrase\n", 255))

    monkeypatch.setattr(automation, "create_or_select_stack", select)
    with pytest.raises(RehearsalError, match=r"^incorrect passphrase$"):
        driven.up(nothing)


def test_what_was_replaced_and_waits_for_its_end_is_not_taken_for_its_successor(
    driven: EngineLab, stack: Stack
) -> None:
    there = {
        "urn": VPC,
        "type": "aws:ec2/vpc:Vpc",
        "custom": True,
        "propertyDependencies": {"tags": None, "a": [SUBNET]},
    }
    stack.resources = [{**there, "id": "new"}, {**there, "id": "old", "delete": True}]
    driven.up(nothing)
    (found,) = driven.state.managed()
    assert (found.id, found.made_of) == ("new", {"tags": (), "a": (SUBNET,)})


def test_a_resource_is_told_once_and_counted_once_however_many_steps_the_engine_takes(
    driven: EngineLab, stack: Stack
) -> None:
    told: list[Step] = []
    driven.tell = told.append
    stack.events = (
        event("delete-replaced", SUBNET),
        event("create-replacement", VPC, "cidrBlock"),
        event("replace", VPC, "cidrBlock"),
        event("create-replacement", SUBNET, "vpcId"),
        event("same", "urn:pulumi:test::simplicity::aws:ec2/eip:Eip::ip"),
    )
    assert driven.up(nothing) == [Step("replace", SUBNET, ("vpcId",)), Step("replace", VPC, ("cidrBlock",))]
    assert [each.urn for each in told] == [SUBNET, VPC]


@pytest.mark.parametrize(
    ("ops", "op"),
    [
        (["create"], "create"),
        (["update"], "update"),
        (["delete-replaced", "create-replacement", "replace"], "replace"),
        (["replace", "create-replacement", "delete-replaced"], "replace"),
        (["create-replacement", "delete-replaced"], "replace"),
        # It went because something else was replaced, and the program does not want it any more.
        (["delete-replaced"], "delete"),
        (["replace", "delete"], "delete"),
        (["delete"], "delete"),
    ],
)
def test_several_steps_of_the_engine_come_to_one(ops: list[str], op: str) -> None:
    assert settled([Step(each, VPC) for each in ops]) == [Step(op, VPC)]
