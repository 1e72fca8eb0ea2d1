"""Auto scaling groups in the emulator of AWS: so many hosts, of another type, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runbooks.drivers import aws_scaler
from runbooks.drivers.aws import Aws, AwsError, GoneError
from runbooks.drivers.aws_groups import BASE, SIZES, Group, Machine, Move, next_move, one, tag
from runbooks.drivers.aws_scaler import AutoscalingScaler
from runbooks.drivers.aws_templates import check_type
from runbooks.drivers.operations import OperationStore, wait
from runbooks.drivers.protocols import Operation, Phase, Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runbooks.drivers.cloud import Cloud


@pytest.fixture
def api(cloud: Cloud) -> Cloud:
    cloud.make_api(desired={"blue": 2, "green": 0})
    return cloud


@pytest.fixture
def scaler(api: Cloud, store: OperationStore) -> AutoscalingScaler:
    return AutoscalingScaler(api.document, store)


def test_scaling_the_api_out_changes_the_live_colour_until_as_many_serve(api: Cloud, scaler: AutoscalingScaler) -> None:
    assert scaler.size("api") == 2
    scaler.scale("k", "api", 3)
    done = wait(scaler, "k", 20)
    assert (done.phase, done.target, done.result["before"]) == (Phase.DONE, "api-blue", 2)
    assert (len(api.types("api-blue")), len(api.types("api-green"))) == (3, 0)
    assert len(scaler.machines("api")) == 3


def test_scaling_in_lets_the_group_end_hosts(api: Cloud, scaler: AutoscalingScaler) -> None:
    scaler.scale("k", "api", 1)
    assert wait(scaler, "k", 20).phase is Phase.DONE
    assert len(api.types("api-blue")) == 1


def test_the_same_key_again_has_no_second_effect(api: Cloud, scaler: AutoscalingScaler) -> None:
    scaler.scale("k", "api", 3)
    wait(scaler, "k", 20)
    api.client("autoscaling").set_desired_capacity(AutoScalingGroupName=api.named("api-blue"), DesiredCapacity=2)
    assert scaler.scale("k", "api", 3).phase is Phase.DONE
    assert len(api.types("api-blue")) == 2
    with pytest.raises(Refusal, match="take another key"):
        scaler.scale("k", "api", 4)


def test_an_operation_is_gone_on_with_by_a_new_process_though_the_traffic_has_been_switched(
    api: Cloud, scaler: AutoscalingScaler
) -> None:
    scaler.store.begin("k", driver="autoscaling", action="scale", target="api-green", arguments={"size": 2})
    again = AutoscalingScaler(api.document, OperationStore(scaler.store.directory))
    again.scale("k", "api", 2)
    assert wait(again, "k", 20).phase is Phase.DONE
    assert len(api.types("api-green")) == 2


@pytest.mark.parametrize(
    ("group", "size", "why"), [("database", 3, "can be scaled|cannot be scaled"), ("api", 5, "1 to 4 hosts, not 5")]
)
def test_what_cannot_be_scaled_is_refused_and_nothing_is_begun(
    scaler: AutoscalingScaler, group: str, size: int, why: str
) -> None:
    with pytest.raises(Refusal, match=why):
        scaler.scale("k", group, size)
    assert scaler.store.all() == []


def test_a_group_that_is_gone_is_named(api: Cloud, scaler: AutoscalingScaler) -> None:
    api.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=api.named("api-blue"), ForceDelete=True)
    with pytest.raises(GoneError, match=f"no auto scaling group {api.named('api-blue')} .*`pulumi up` makes it"):
        scaler.size("api")


def test_a_number_that_somebody_else_changes_meanwhile_ends_the_operation(
    api: Cloud, scaler: AutoscalingScaler
) -> None:
    scaler.store.begin("k", driver="autoscaling", action="scale", target="api-blue", arguments={"size": 3})
    begun = scaler.store.get("k")
    scaler.store.update(begun, detail="", result={"reached": True, "before": 2})
    done = scaler.poll("k")
    assert (done.phase, "to have 2 hosts by now, not 3" in done.detail) == (Phase.FAILED, True)
    assert len(api.types("api-blue")) == 2


def test_hosts_of_another_type_take_over_one_by_one_and_policies_act_again_afterwards(
    api: Cloud, scaler: AutoscalingScaler
) -> None:
    scaler.retype("k", "api", "c7g.xlarge")
    group = api.group("api-blue")
    assert {"AlarmNotification", "AZRebalance"} <= {each["ProcessName"] for each in group["SuspendedProcesses"]}
    counts = set()
    done = wait(scaler, "k", 20, tell=lambda _: counts.add(len(api.types("api-blue"))))
    assert (done.phase, done.result["before"]) == (Phase.DONE, ["c7g.large"])
    assert api.types("api-blue") == ["c7g.xlarge"] * 2
    assert min(counts) >= 2, "never do fewer serve than before"
    assert api.group("api-blue")["SuspendedProcesses"] == []
    assert api.group("api-blue")["LaunchTemplate"]["Version"] == "2"


def test_a_replacement_that_was_cut_off_is_gone_on_with_and_makes_no_second_version(
    api: Cloud, scaler: AutoscalingScaler
) -> None:
    scaler.retype("k", "api", "c7g.xlarge")
    scaler.poll("k")
    again = AutoscalingScaler(api.document, OperationStore(scaler.store.directory))
    assert wait(again, "k", 20).phase is Phase.DONE
    versions = api.client("ec2").describe_launch_template_versions(LaunchTemplateName=api.named("api-blue"))
    assert len(versions["LaunchTemplateVersions"]) == 2


def test_a_replacement_that_fails_lets_the_group_have_its_number_and_its_policies_again(
    api: Cloud, scaler: AutoscalingScaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaler.retype("k", "api", "c7g.xlarge")
    scaler.poll("k")
    assert len(api.types("api-blue")) == 3, "one more is started first"
    monkeypatch.setattr(aws_scaler, "RETYPE_SECONDS", -1.0)
    assert scaler.poll("k").phase is Phase.FAILED
    _is_as_before(api)


def _is_as_before(api: Cloud) -> None:
    group = api.group("api-blue")
    assert (group["DesiredCapacity"], group["SuspendedProcesses"]) == (2, [])
    assert group["LaunchTemplate"]["Version"] == "1"
    assert BASE not in {each["Key"] for each in group["Tags"]}


def _failed(scaler: AutoscalingScaler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a replacement fail in a process that is killed before it gives the group back."""

    def killed(_: AutoscalingScaler, operation: Operation) -> Operation:
        return operation

    scaler.retype("k", "api", "c7g.xlarge")
    scaler.poll("k")
    with monkeypatch.context() as patch:
        patch.setattr(AutoscalingScaler, "_let_go", killed)
        patch.setattr(aws_scaler, "RETYPE_SECONDS", -1.0)
        assert scaler.poll("k").phase is Phase.FAILED


def test_a_group_that_a_killed_process_still_holds_is_given_back_once_by_the_next(
    api: Cloud, scaler: AutoscalingScaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    _failed(scaler, monkeypatch)
    assert api.group("api-blue")["SuspendedProcesses"]
    again = AutoscalingScaler(api.document, OperationStore(scaler.store.directory))
    done = again.retype("k", "api", "c7g.xlarge")
    assert (done.phase, done.result["let_go"]) == (Phase.FAILED, True)
    _is_as_before(api)
    api.client("autoscaling").set_desired_capacity(AutoScalingGroupName=api.named("api-blue"), DesiredCapacity=3)
    again.poll("k")
    assert api.group("api-blue")["DesiredCapacity"] == 3, "what came after it is not taken back"


def test_a_group_that_cannot_be_given_back_now_says_so_and_is_at_the_next_poll(
    api: Cloud, scaler: AutoscalingScaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AwsError("these credentials may not do that")

    _failed(scaler, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(AutoscalingScaler, "_give_back", refused)
        assert "the group is still held (these credentials may not do that): poll it again" in scaler.poll("k").detail
    scaler.poll("k")
    _is_as_before(api)


def test_a_replacement_that_another_machine_begins_goes_by_the_number_before_the_first_one(
    api: Cloud, scaler: AutoscalingScaler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _failed(scaler, monkeypatch)
    assert api.group("api-blue")["DesiredCapacity"] == 3, "one more is started first"
    elsewhere = AutoscalingScaler(api.document, OperationStore(tmp_path / "other"))
    elsewhere.retype("l", "api", "c7g.2xlarge")
    assert wait(elsewhere, "l", 20).result["base"] == 2
    assert api.types("api-blue") == ["c7g.2xlarge"] * 2
    scaler.poll("k")
    assert api.group("api-blue")["LaunchTemplate"]["Version"] == "3", "the first one does not take back the second"


def test_groups_of_an_environment_that_is_stopped_are_left_alone(api: Cloud, scaler: AutoscalingScaler) -> None:
    tag(scaler.aws, api.named("api-blue"), SIZES, "[1, 4, 2]")
    stopped = "its environment is stopped; `simplicity infrastructure start` first"
    with pytest.raises(Refusal, match=stopped):
        scaler.scale("k", "api", 3)
    with pytest.raises(Refusal, match=stopped):
        scaler.retype("k", "api", "c7g.xlarge")
    assert scaler.store.all() == []
    scaler.store.begin("k", driver="autoscaling", action="scale", target="api-blue", arguments={"size": 3})
    assert scaler.poll("k").phase is Phase.FAILED
    assert len(api.types("api-blue")) == 2


def test_a_replacement_during_which_the_environment_is_stopped_starts_no_host(
    api: Cloud, scaler: AutoscalingScaler
) -> None:
    scaler.retype("k", "api", "c7g.xlarge")
    tag(scaler.aws, api.named("api-blue"), SIZES, "[1, 4, 2]")
    api.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=api.named("api-blue"), MinSize=0, DesiredCapacity=0
    )
    assert scaler.poll("k").phase is Phase.FAILED
    group = one(scaler.aws, api.named("api-blue"))
    assert (group.desired, group.version) == (0, "1")
    assert {"AlarmNotification", "ScheduledActions"} <= group.suspended, "whoever starts it lets alarms act again"


def test_a_type_that_cannot_be_asked_for_is_not_called_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        error = AwsError("ec2 describe-instance-types: these credentials may not do that")
        error.code = "UnauthorizedOperation"
        raise error

    monkeypatch.setattr(Aws, "call", denied)
    with pytest.raises(AwsError, match=r"^ec2 describe-instance-types: these credentials may not"):
        check_type(Aws(environment="e", region="us-east-1"), _group("old", desired=1), "c7g.xlarge")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("c7g", "is no type of an instance"),
        ("c7i.large", "is .*x86_64, the hosts of .* are arm64"),
        ("z9.huge", "no type"),
    ],
)
def test_a_type_whose_hosts_would_never_start_is_refused(scaler: AutoscalingScaler, wanted: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        scaler.retype("k", "api", wanted)
    assert scaler.store.all() == []


def _group(*types: str, desired: int, maximum: int = 4, well: bool = True) -> Group:
    machines = [Machine(id=f"i-{n}", type=each, zone="a", state="InService", well=True) for n, each in enumerate(types)]
    if not well:
        machines[-1] = Machine(id="i-new", type=types[-1], zone="a", state="Pending", well=False)
    return Group(
        name="g",
        minimum=1,
        maximum=maximum,
        desired=desired,
        machines=tuple(machines),
        template="lt",
        version="1",
        tags={},
    )


@pytest.mark.parametrize(
    ("group", "move"),
    [
        (_group("old", "old", desired=2), (Move.GROW, "")),
        (_group("old", "old", "new", desired=3, well=False), (Move.WAIT, "")),
        (_group("old", "old", "new", desired=3), (Move.DROP, "i-0")),
        (_group("old", "old", desired=2, maximum=2), (Move.SWAP, "i-0")),
        (_group("new", "new", "new", desired=3), (Move.SHRINK, "i-2")),
        (_group("new", "new", desired=2), (Move.DONE, "")),
        (_group("new", desired=2), (Move.WAIT, "")),
    ],
)
def test_a_replacement_starts_one_more_before_it_ends_an_old_one(group: Group, move: tuple[Move, str]) -> None:
    assert next_move(group, "new", 2) == move
