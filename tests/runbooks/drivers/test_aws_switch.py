"""The colours' shares in the balancer's listener, in the emulator of AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from infra.environment import Driver
from runbooks.drivers import aws_switch
from runbooks.drivers.aws import GoneError
from runbooks.drivers.aws_switch import TargetGroupSwitch, live_colour
from runbooks.drivers.operations import OperationStore, wait
from runbooks.drivers.protocols import Phase, Refusal

if TYPE_CHECKING:
    from tests.runbooks.drivers.cloud import Cloud


@pytest.fixture
def api(cloud: Cloud) -> Cloud:
    cloud.make_api(desired={"blue": 1, "green": 1})
    return cloud


@pytest.fixture
def switch(api: Cloud, store: OperationStore) -> TargetGroupSwitch:
    return TargetGroupSwitch(api.document, store)


def test_traffic_moves_to_the_other_colour_and_the_record_has_what_was_before(switch: TargetGroupSwitch) -> None:
    assert switch.weights() == {"blue": 100, "green": 0}
    switch.shift("k", {"blue": 0, "green": 100})
    done = wait(switch, "k", 20)
    assert (done.phase, done.detail, done.result["before"]) == (
        Phase.DONE,
        "blue 0 %, green 100 %",
        {"blue": 100, "green": 0},
    )
    assert switch.weights() == {"blue": 0, "green": 100}
    assert live_colour(switch.environment, switch.store) == "green"


def test_a_share_leaves_what_else_the_listener_is_told(switch: TargetGroupSwitch) -> None:
    def told() -> dict[str, Any]:
        return switch._listener()  # noqa: SLF001

    before = told()
    switch.shift("k", {"blue": 90, "green": 10})
    wait(switch, "k", 20)
    after = told()
    weights = [each.pop("Weight") for each in after["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]]
    for each in before["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]:
        each.pop("Weight")
    assert weights == [90, 10]
    assert after == before


def test_the_same_key_again_does_not_take_back_what_came_after_it(switch: TargetGroupSwitch) -> None:
    for key, weights in (("k", {"blue": 0, "green": 100}), ("l", {"blue": 100, "green": 0})):
        switch.shift(key, weights)
        wait(switch, key, 20)
    again = TargetGroupSwitch(switch.environment, OperationStore(switch.store.directory))
    assert again.shift("k", {"blue": 0, "green": 100}).phase is Phase.DONE
    assert again.weights() == {"blue": 100, "green": 0}


def test_what_somebody_else_has_shifted_meanwhile_is_left_so(switch: TargetGroupSwitch) -> None:
    begun = switch.store.begin(
        "k", driver="target-groups", action="shift", target="api", arguments={"blue": 0, "green": 100}
    )
    switch.store.update(begun, detail="", result={"before": {"blue": 100, "green": 0}, "told": True})
    switch.shift("other", {"blue": 50, "green": 50})
    wait(switch, "other", 20)
    done = switch.poll("k")
    assert (done.phase, "somebody else has shifted it meanwhile" in done.detail) == (Phase.FAILED, True)
    assert switch.weights() == {"blue": 50, "green": 50}


def test_a_shift_that_was_told_and_cut_off_is_told_again(switch: TargetGroupSwitch) -> None:
    begun = switch.store.begin(
        "k", driver="target-groups", action="shift", target="api", arguments={"blue": 0, "green": 100}
    )
    switch.store.update(begun, detail="", result={"before": {"blue": 100, "green": 0}, "told": True})
    assert wait(switch, "k", 20).phase is Phase.DONE
    assert switch.weights() == {"blue": 0, "green": 100}


def test_a_shift_whose_time_is_over_moves_no_traffic(
    switch: TargetGroupSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_switch, "SECONDS", -1.0)
    assert switch.shift("k", {"blue": 0, "green": 100}).phase is Phase.FAILED
    assert switch.weights() == {"blue": 100, "green": 0}


def test_a_colour_without_a_healthy_host_gets_nothing(api: Cloud, switch: TargetGroupSwitch) -> None:
    api.client("elbv2").deregister_targets(
        TargetGroupArn=switch._colours()["green"],  # noqa: SLF001
        Targets=[{"Id": each["InstanceId"]} for each in api.group("api-green")["Instances"]],
    )
    if switch.healthy()["green"] != (0, 0):
        pytest.skip("the emulator keeps targets that are deregistered")
    with pytest.raises(Refusal, match=r"green has no healthy host: .*scale api-green first"):
        switch.shift("k", {"blue": 50, "green": 50})
    assert switch.weights() == {"blue": 100, "green": 0}


@pytest.mark.parametrize("weights", [{"blue": 50, "green": 40}, {"blue": 100}, {"blue": 120, "green": -20}])
def test_shares_that_are_none_are_refused(switch: TargetGroupSwitch, weights: dict[str, int]) -> None:
    with pytest.raises(Refusal, match="together 100"):
        switch.shift("k", weights)


def test_a_balancer_that_does_not_know_a_colour_or_is_gone_says_what_makes_it(
    api: Cloud, switch: TargetGroupSwitch
) -> None:
    api.client("elbv2").create_target_group(
        Name=f"{api.name}-third", Protocol="HTTPS", Port=1, VpcId=api.make_network()
    )
    api.drivers["traffic_switch"] = Driver(kind="target-groups", settings={"green": f"{api.name}-third"})
    with pytest.raises(Refusal, match="does not know the target group of green; `pulumi up` puts it right"):
        TargetGroupSwitch(api.document, switch.store).weights()
    api.drivers["traffic_switch"] = Driver(kind="target-groups", settings={"api": "nothing"})
    with pytest.raises(GoneError, match="elbv2 describe-load-balancers: "):
        TargetGroupSwitch(api.document, switch.store).weights()


def test_with_equal_shares_no_colour_is_the_live_one(switch: TargetGroupSwitch) -> None:
    switch.shift("k", {"blue": 50, "green": 50})
    wait(switch, "k", 20)
    with pytest.raises(Refusal, match="say api-blue or api-green"):
        live_colour(switch.environment, switch.store)
