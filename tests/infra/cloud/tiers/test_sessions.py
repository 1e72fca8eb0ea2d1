"""The bucket that files for hosts pass through."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from infra.cloud.policies.rules import stack_faults
from infra.cloud.tiers.sessions import Sessions, SessionsArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.values import Props
    from infra.cloud.site import Site
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

KEY = "arn:aws:kms:us-east-1:123456789012:key/secrets"
NAME = "simplicity-test-sessions-123456789012"


def graph(planned: Planned, site: Site) -> list[Registered]:
    def program() -> None:
        Sessions("sessions", SessionsArgs(site=site, key=KEY))

    return planned(program)


def one(planned: Planned, site: Site, kind: str) -> Props:
    (found,) = [each for each in graph(planned, site) if each.type.endswith(f":{kind}")]
    return found.inputs


def test_it_is_closed_and_speaks_tls_alone(planned: Planned, site: Site) -> None:
    block = one(planned, site, "BucketPublicAccessBlock")
    flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(block[each] is True for each in flags)
    said = json.loads(one(planned, site, "BucketPolicy")["policy"])["Statement"]
    assert {each["Effect"] for each in said} == {"Deny"}
    assert {"Bool": {"aws:SecureTransport": "false"}} in [each["Condition"] for each in said]


def test_it_is_under_the_key_of_secrets_since_files_have_some_in_them(planned: Planned, site: Site) -> None:
    (rule,) = one(planned, site, "BucketServerSideEncryptionConfiguration")["rules"]
    default = rule["applyServerSideEncryptionByDefault"]
    assert (default["sseAlgorithm"], default["kmsMasterKeyId"]) == ("aws:kms", KEY)


def test_nothing_stays_in_it_over_a_day_nor_as_a_version(planned: Planned, site: Site) -> None:
    (rule,) = one(planned, site, "BucketLifecycleConfiguration")["rules"]
    assert (rule["status"], rule["expiration"], rule["filter"]) == ("Enabled", {"days": 1}, {"prefix": ""})
    made = graph(planned, site)
    assert not [each for each in made if "ersioning" in each.type]
    assert stack_faults([(each.type, each.inputs) for each in made]) == []


def test_it_has_the_account_in_its_name_and_says_who_pays(planned: Planned, site: Site) -> None:
    bucket = one(planned, site, "Bucket")
    assert bucket["bucket"] == NAME
    assert {"project", "environment", "owner", "cost-center"} <= set(bucket["tags"])
