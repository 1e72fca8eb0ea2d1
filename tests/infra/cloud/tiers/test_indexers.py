from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from infra.cloud.tiers.indexers import Indexers, IndexersArgs
from tests.infra.cloud.tiers.documents import of

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

KEY, SUBNETS = "arn:aws:kms:us-east-1:123456789012:key/data", ("subnet-a", "subnet-b", "subnet-c")
GROUP, TEMPLATE, POLICY = "autoscaling/group:Group", "ec2/launchTemplate:LaunchTemplate", "autoscaling/policy:Policy"
IMAGE = "ami-0123456789abcdef0"
TARGETS = {"blue": "arn:blue", "green": "arn:green"}


def made(planned: Planned, site: Site) -> list[Registered]:
    args = IndexersArgs(
        site=site,
        image="ami-1",
        subnets=SUBNETS,
        api_group="sg-api",
        sync_group="sg-sync",
        profiles={"api": "simplicity-test-api", "sync": "simplicity-test-sync"},
        key=KEY,
        target_groups=TARGETS,
        labels={colour: f"app/a/1/targetgroup/{colour}/2" for colour in TARGETS},
    )
    return planned(lambda: (Indexers("indexers", args), None)[1])


def test_every_template_asks_for_a_token_encrypts_and_gives_no_public_address(planned: Planned, site: Site) -> None:
    templates = of(made(planned, site), TEMPLATE)
    assert set(templates) == {"api-blue", "api-green", "sync"}
    for template in templates.values():
        assert template.inputs["metadataOptions"] == {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
        }
        (block,) = template.inputs["blockDeviceMappings"]
        assert (block["ebs"]["encrypted"], block["ebs"]["kmsKeyId"]) == ("true", KEY)
        assert block["ebs"]["volumeType"] == "gp3"
        (interface,) = template.inputs["networkInterfaces"]
        assert interface["associatePublicIpAddress"] == "false"
        assert "keyName" not in template.inputs


def test_hosts_of_each_role_have_their_own_profile_and_security_group(planned: Planned, site: Site) -> None:
    for name, template in of(made(planned, site), TEMPLATE).items():
        role = name.split("-", maxsplit=1)[0]
        assert template.inputs["iamInstanceProfile"] == {"name": f"simplicity-test-{role}"}
        assert template.inputs["networkInterfaces"][0]["securityGroups"] == [f"sg-{role}"]
        told = base64.b64decode(template.inputs["userData"]).decode()
        assert f"role={role}" in told
        assert "environment=test" in told


def test_every_group_spans_three_zones_and_tags_its_hosts(planned: Planned, site: Site) -> None:
    for group in of(made(planned, site), GROUP).values():
        assert group.inputs["vpcZoneIdentifiers"] == list(SUBNETS)
        tags = {each["key"]: each for each in group.inputs["tags"]}
        assert {"Name", "project", "environment", "owner", "cost-center", "role"} <= set(tags)
        assert all(each["propagateAtLaunch"] for each in tags.values())


@pytest.mark.parametrize(("live", "other"), [("blue", "green"), ("green", "blue")])
def test_the_live_colour_has_hosts_and_a_warm_pool_and_the_other_one_costs_nothing(
    live: str, other: str, planned: Planned, at: Places
) -> None:
    groups = of(made(planned, at(image=IMAGE, api={"live": live, "minimum": 3, "maximum": 9, "warm": 2})), GROUP)
    assert (groups[f"api-{live}"].inputs["minSize"], groups[f"api-{live}"].inputs["maxSize"]) == (3, 9)
    assert groups[f"api-{live}"].inputs["warmPool"] == {
        "poolState": "Stopped",
        "minSize": 2,
        # Else it would hold all six that the group may grow by.
        "maxGroupPreparedCapacity": 5,
    }
    assert (groups[f"api-{other}"].inputs["minSize"], groups[f"api-{other}"].inputs["maxSize"]) == (0, 9)
    assert "warmPool" not in groups[f"api-{other}"].inputs


def test_no_group_has_a_size_that_an_up_would_bring_back_after_scaling(planned: Planned, site: Site) -> None:
    assert all("desiredCapacity" not in each.inputs for each in of(made(planned, site), GROUP).values())


def test_each_colour_hangs_at_its_target_group_and_is_checked_through_it(planned: Planned, at: Places) -> None:
    groups = of(made(planned, at(image=IMAGE)), GROUP)
    for colour, targets in TARGETS.items():
        assert groups[f"api-{colour}"].inputs["targetGroupArns"] == [targets]
        assert groups[f"api-{colour}"].inputs["healthCheckType"] == "ELB"
    assert groups["sync"].inputs["healthCheckType"] == "EC2"
    assert not groups["sync"].inputs.get("targetGroupArns")


def test_without_an_image_of_theirs_hosts_wait_for_the_playbooks_and_none_stands_by(
    planned: Planned, site: Site
) -> None:
    for group in of(made(planned, site), GROUP).values():
        # The balancer's checks would end a new host before anything is installed on it.
        assert group.inputs["healthCheckType"] == "EC2"
        assert "warmPool" not in group.inputs


def test_a_newer_image_of_debians_rolls_no_host_and_another_one_that_is_set_does(planned: Planned, at: Places) -> None:
    for site, ignored in ((at(), {"imageId"}), (at(image=IMAGE), set())):
        for template in of(made(planned, site), TEMPLATE).values():
            assert set(template.ignored) == ignored


def test_the_api_scales_on_requests_and_a_releases_colour_is_not_taken_away(planned: Planned, at: Places) -> None:
    policies = of(made(planned, at(api={"requests_per_host": 500})), POLICY)
    blue, green = (policies[f"api-{colour}-requests"].inputs["targetTrackingConfiguration"] for colour in TARGETS)
    assert blue["predefinedMetricSpecification"] == {
        "predefinedMetricType": "ALBRequestCountPerTarget",
        "resourceLabel": "app/a/1/targetgroup/blue/2",
    }
    assert blue["targetValue"] == 30_000
    assert (blue["disableScaleIn"], green["disableScaleIn"]) == (False, True)


def test_sync_gets_another_host_when_it_is_behind_and_gives_it_back(planned: Planned, at: Places) -> None:
    found = made(planned, at(sync={"hosts": 2}))
    (group,) = [each for name, each in of(found, GROUP).items() if name == "sync"]
    assert (group.inputs["minSize"], group.inputs["maxSize"]) == (2, 3)
    policies, alarms = of(found, POLICY), of(found, "cloudwatch/metricAlarm:MetricAlarm")
    assert policies["sync-lag"].inputs["stepAdjustments"] == [{"scalingAdjustment": 1, "metricIntervalLowerBound": "0"}]
    assert policies["sync-caught-up"].inputs["stepAdjustments"][0]["scalingAdjustment"] == -1
    lag = alarms["sync-lag"].inputs
    assert (lag["namespace"], lag["metricName"]) == ("Simplicity", "IndexerLagBlocks")
    assert lag["comparisonOperator"] == "GreaterThanThreshold"
    assert alarms["sync-caught-up"].inputs["threshold"] < lag["threshold"]


def test_a_new_template_is_rolled_out_without_a_host_less_and_back_if_it_fails(planned: Planned, site: Site) -> None:
    for group in of(made(planned, site), GROUP).values():
        preferences = group.inputs["instanceRefresh"]["preferences"]
        assert preferences["minHealthyPercentage"] == 100
        assert preferences["autoRollback"] is True
