from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cloud.tiers.hosts import machine, user_data
from infra.cloud.tiers.monitoring import Monitoring, MonitoringArgs
from infra.cloud.tiers.node import Node, NodeArgs
from tests.infra.cloud.tiers.documents import actions, of, statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

KEY, SUBNETS = "arn:aws:kms:us-east-1:123456789012:key/data", ("subnet-a", "subnet-b", "subnet-c")
INSTANCE, VOLUME = "ec2/instance:Instance", "ebs/volume:Volume"


def node(planned: Planned, site: Site, profile: str | None = "simplicity-test-node") -> list[Registered]:
    args = NodeArgs(site=site, image="ami-1", subnets=SUBNETS, group="sg-node", profile=profile, key=KEY)
    return planned(lambda: (Node("node", args), None)[1])


def monitoring(planned: Planned, site: Site) -> list[Registered]:
    args = MonitoringArgs(
        site=site,
        image="ami-1",
        subnets=SUBNETS,
        group="sg-monitoring",
        role="simplicity-test-monitoring",
        profile="simplicity-test-monitoring",
        data_key=KEY,
        logs_key=KEY,
    )
    return planned(lambda: (Monitoring("monitoring", args), None)[1])


@pytest.mark.parametrize("tier", [node, monitoring])
def test_a_host_asks_for_credentials_with_a_token_is_encrypted_and_is_not_public(
    tier: Callable[[Planned, Site], list[Registered]], planned: Planned, site: Site
) -> None:
    (host,) = of(tier(planned, site), INSTANCE).values()
    assert host.inputs["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    assert host.inputs["associatePublicIpAddress"] is False
    assert host.inputs["subnetId"] in SUBNETS
    assert host.inputs["rootBlockDevice"]["encrypted"] is True
    assert host.inputs["rootBlockDevice"]["kmsKeyId"] == KEY
    assert "keyName" not in host.inputs


@pytest.mark.parametrize("tier", [node, monitoring])
def test_what_holds_data_has_a_volume_of_its_own_that_is_encrypted_and_protected(
    tier: Callable[[Planned, Site], list[Registered]], planned: Planned, site: Site
) -> None:
    found = tier(planned, site)
    (volume,), (host,) = of(found, VOLUME).values(), of(found, INSTANCE).values()
    assert volume.protect
    assert (volume.inputs["encrypted"], volume.inputs["kmsKeyId"]) == (True, KEY)
    assert host.inputs["disableApiTermination"] is True
    assert not host.protect


@pytest.mark.parametrize("tier", [node, monitoring])
def test_volume_and_host_are_in_the_same_zone(
    tier: Callable[[Planned, Site], list[Registered]], planned: Planned, site: Site
) -> None:
    found = tier(planned, site)
    (volume,), (host,) = of(found, VOLUME).values(), of(found, INSTANCE).values()
    zone = site.zones.index(volume.inputs["availabilityZone"])
    assert host.inputs["subnetId"] == SUBNETS[zone]


def test_a_stack_that_is_not_protected_lets_its_volume_and_host_go(planned: Planned, at: Places) -> None:
    found = node(planned, at(database={"protect": False}))
    (volume,), (host,) = of(found, VOLUME).values(), of(found, INSTANCE).values()
    assert not volume.protect
    assert host.inputs["disableApiTermination"] is False


def test_a_volume_is_not_pulled_from_under_a_running_host(planned: Planned, site: Site) -> None:
    (attachment,) = of(node(planned, site), "ec2/volumeAttachment:VolumeAttachment").values()
    assert attachment.inputs["stopInstanceBeforeDetaching"] is True


def test_a_volume_leaves_its_old_host_before_it_hangs_at_the_next_one(planned: Planned, site: Site) -> None:
    (attachment,) = of(node(planned, site), "ec2/volumeAttachment:VolumeAttachment").values()
    assert attachment.deleted_first


@pytest.mark.parametrize("tier", [node, monitoring])
def test_a_host_with_data_is_replaced_for_no_newer_image_and_for_no_other_words_at_its_first_start(
    tier: Callable[[Planned, Site], list[Registered]], planned: Planned, site: Site
) -> None:
    (host,) = of(tier(planned, site), INSTANCE).values()
    assert set(host.ignored) == {"ami", "userData"}


def test_an_external_node_makes_nothing(planned: Planned, at: Places) -> None:
    assert node(planned, at(node={"kind": "external", "url": "https://node.example.com"}), profile=None) == []


def test_a_node_of_ours_without_a_profile_is_refused(planned: Planned, site: Site) -> None:
    with pytest.raises(ValueError, match="needs an instance profile"):
        node(planned, site, profile=None)


def test_a_node_has_the_room_that_the_settings_say(planned: Planned, at: Places) -> None:
    (volume,) = of(node(planned, at(node={"volume_gb": 77})), VOLUME).values()
    assert volume.inputs["size"] == 77


def test_user_data_names_role_and_environment_and_no_secret(site: Site) -> None:
    told = user_data(site, "node", "m7g.large")
    assert "role=node" in told
    assert "environment=test" in told
    assert not {"password", "secret", "token", "key"} & set(told.lower().replace("_", " ").replace("=", " ").split())


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [
        ("c7g.large", "arm64"),
        ("t4g.small", "arm64"),
        ("m7gd.xlarge", "arm64"),
        ("c6gn.large", "arm64"),
        ("g5g.xlarge", "arm64"),
        ("g5.xlarge", "amd64"),
        ("t3.large", "amd64"),
        ("m7i.large", "amd64"),
    ],
)
def test_the_agent_fits_the_hosts_processor(instance_type: str, expected: str) -> None:
    assert machine(instance_type) == expected


def test_monitoring_of_our_own_has_no_store_of_amazons(planned: Planned, site: Site) -> None:
    found = monitoring(planned, site)
    assert not of(found, "amp/workspace:Workspace")
    (volume,) = of(found, VOLUME).values()
    assert volume.inputs["size"] == site.settings.monitoring.volume_gb


def test_amazons_store_is_encrypted_logged_protected_and_open_to_the_monitoring_host_alone(
    planned: Planned, at: Places
) -> None:
    found = monitoring(planned, at(monitoring={"kind": "managed"}))
    (workspace,) = of(found, "amp/workspace:Workspace").values()
    (logs,) = of(found, "cloudwatch/logGroup:LogGroup").values()
    (policy,) = of(found, "iam/rolePolicy:RolePolicy").values()
    (volume,) = of(found, VOLUME).values()
    assert workspace.protect
    assert workspace.inputs["kmsKeyArn"] == KEY
    assert workspace.inputs["loggingConfiguration"]["logGroupArn"].endswith(":*")
    assert (logs.inputs["retentionInDays"], logs.inputs["kmsKeyId"]) == (90, KEY)
    assert policy.inputs["role"] == "simplicity-test-monitoring"
    assert "aps:RemoteWrite" in actions(statements(policy.inputs["policy"]))
    assert not any("*" in each for each in actions(statements(policy.inputs["policy"])))
    assert volume.inputs["size"] == 20


def test_everything_of_a_host_carries_the_cost_tags(planned: Planned, site: Site) -> None:
    found = node(planned, site)
    (host,), (volume,) = of(found, INSTANCE).values(), of(found, VOLUME).values()
    for tags in (host.inputs["tags"], volume.inputs["tags"], host.inputs["rootBlockDevice"]["tags"]):
        assert {"project", "environment", "owner", "cost-center", "role"} <= set(tags)
