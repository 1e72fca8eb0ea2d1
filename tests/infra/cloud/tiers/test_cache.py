from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cloud.tiers.cache import Cache, CacheArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.values import Props
    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

KEY = "arn:aws:kms:us-east-1:123456789012:key/data"


def inputs(planned: Planned, site: Site, kind: str) -> Props:
    def program() -> None:
        Cache("cache", CacheArgs(site=site, subnets=("a", "b", "c"), security_group="sg-cache", data_key=KEY))

    (found,) = [each for each in planned(program) if each.type.endswith(f":{kind}")]
    return found.inputs


def test_it_is_encrypted_on_the_wire_and_at_rest(planned: Planned, site: Site) -> None:
    group = inputs(planned, site, "ReplicationGroup")
    assert group["transitEncryptionEnabled"] is True
    assert group["transitEncryptionMode"] == "required"
    assert group["atRestEncryptionEnabled"] is True
    assert group["kmsKeyId"] == KEY


def test_with_a_replica_it_fails_over_to_another_zone(planned: Planned, site: Site) -> None:
    group = inputs(planned, site, "ReplicationGroup")
    assert (group["numCacheClusters"], group["automaticFailoverEnabled"], group["multiAzEnabled"]) == (2, True, True)


def test_without_a_replica_it_does_not_ask_for_what_aws_refuses(planned: Planned, at: Places) -> None:
    group = inputs(planned, at(cache={"replicas": 0}), "ReplicationGroup")
    assert (group["numCacheClusters"], group["automaticFailoverEnabled"], group["multiAzEnabled"]) == (1, False, False)


def test_no_password_is_in_the_program(planned: Planned, site: Site) -> None:
    assert "authToken" not in inputs(planned, site, "ReplicationGroup")


def test_an_upgrade_finds_its_parameters_beside_the_old_ones(planned: Planned, site: Site) -> None:
    group = inputs(planned, site, "ParameterGroup")
    assert (group["name"], group["family"]) == ("simplicity-test-cache-8", "valkey8")


def test_nothing_of_it_lies_around(planned: Planned, site: Site) -> None:
    assert inputs(planned, site, "ReplicationGroup")["snapshotRetentionLimit"] == 0


def test_a_full_cache_forgets_instead_of_failing(planned: Planned, site: Site) -> None:
    group = inputs(planned, site, "ParameterGroup")
    assert {"name": "maxmemory-policy", "value": "allkeys-lru"} in group["parameters"]


def test_it_stands_in_the_subnets_without_a_way_out(planned: Planned, site: Site) -> None:
    assert inputs(planned, site, "SubnetGroup")["subnetIds"] == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["ReplicationGroup", "ParameterGroup", "SubnetGroup"])
def test_all_of_it_says_who_pays(planned: Planned, site: Site, kind: str) -> None:
    assert inputs(planned, site, kind)["tags"]["cost-center"] == "indexer"
