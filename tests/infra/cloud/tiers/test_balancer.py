from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from infra.cloud.tiers.balancer import Balancer, BalancerArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1"
KEY = "arn:aws:kms:us-east-1:123456789012:key/logs"


def made(planned: Planned, site: Site) -> dict[tuple[str, str], Registered]:
    def program() -> None:
        Balancer(
            "balancer",
            BalancerArgs(
                site=site,
                vpc_id="vpc-1",
                subnets=("s1", "s2", "s3"),
                group="sg-1",
                certificate=CERTIFICATE,
                logs_key=KEY,
            ),
        )

    return {(each.type.rpartition(":")[2], each.name): each for each in planned(program)}


@pytest.fixture
def found(planned: Planned, site: Site) -> dict[tuple[str, str], dict[str, Any]]:
    return {key: each.inputs for key, each in made(planned, site).items()}


Found = dict[tuple[str, str], dict[str, Any]]


def test_clients_speak_modern_tls_with_the_public_certificate(found: Found) -> None:
    listener = found["Listener", "https"]
    assert (listener["port"], listener["protocol"]) == (443, "HTTPS")
    assert listener["sslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
    assert listener["certificateArn"] == CERTIFICATE


def test_who_comes_without_tls_is_sent_to_https_and_served_nothing(found: Found) -> None:
    (action,) = found["Listener", "http"]["defaultActions"]
    assert action == {"type": "redirect", "redirect": {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"}}


@pytest.mark.parametrize("live", ["blue", "green"])
def test_the_live_colour_has_all_clients(planned: Planned, at: Places, live: str) -> None:
    listener = made(planned, at(api={"live": live}))["Listener", "https"].inputs
    (action,) = listener["defaultActions"]
    weights = {each["arn"].rpartition("-")[2]: each["weight"] for each in action["forward"]["targetGroups"]}
    assert weights == {"blue": 100 if live == "blue" else 0, "green": 100 if live == "green" else 0}


def test_hosts_are_spoken_to_by_tls_and_get_clients_only_while_they_are_ready(found: Found) -> None:
    for colour, port in (("blue", 8441), ("green", 8442)):
        group = found["TargetGroup", colour]
        assert (group["protocol"], group["port"]) == ("HTTPS", port)
        check = group["healthCheck"]
        assert (check["protocol"], check["path"], check["matcher"]) == ("HTTPS", "/health/ready", "200")
        assert check["timeout"] < check["interval"]


def test_a_dead_host_gets_no_client_after_thirty_seconds(found: Found) -> None:
    check = found["TargetGroup", "blue"]["healthCheck"]
    assert check["interval"] * check["unhealthyThreshold"] <= 30


def test_the_balancer_closes_idle_connections_before_the_api_does(found: Found) -> None:
    assert found["LoadBalancer", "api"]["idleTimeout"] < 75


def test_the_balancer_refuses_what_two_parties_could_read_differently(found: Found) -> None:
    balancer = found["LoadBalancer", "api"]
    assert balancer["dropInvalidHeaderFields"] is True
    assert balancer["desyncMitigationMode"] == "strictest"
    assert balancer["enableWafFailOpen"] is False


def test_the_balancer_and_its_log_are_protected_where_data_are(planned: Planned, site: Site, at: Places) -> None:
    production, staging = made(planned, site), made(planned, at(database={"protect": False}))
    assert production["LoadBalancer", "api"].inputs["enableDeletionProtection"] is True
    assert production["Bucket", "access-logs"].protect
    assert staging["LoadBalancer", "api"].inputs["enableDeletionProtection"] is False
    assert not staging["Bucket", "access-logs"].protect


def test_every_request_is_logged_to_a_bucket_that_is_encrypted_closed_and_forgets(found: Found, site: Site) -> None:
    assert found["LoadBalancer", "api"]["accessLogs"]["enabled"] is True
    block = found["BucketPublicAccessBlock", "access-logs"]
    closed = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(block[each] is True for each in closed)
    (rule,) = found["BucketServerSideEncryptionConfiguration", "access-logs"]["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "AES256"
    expiry, tidy = found["BucketLifecycleConfiguration", "access-logs"]["rules"]
    assert expiry["expiration"]["days"] == site.settings.balancer.log_days
    assert tidy["noncurrentVersionExpiration"] == {"noncurrentDays": 1}
    assert found["BucketVersioning", "access-logs"]["versioningConfiguration"] == {"status": "Enabled"}


def test_only_this_balancer_writes_the_bucket_and_nobody_without_tls(found: Found) -> None:
    statements = json.loads(found["BucketPolicy", "access-logs"]["policy"])["Statement"]
    (allowed,) = [each for each in statements if each["Effect"] == "Allow"]
    refused = [each for each in statements if each["Effect"] == "Deny"]
    assert allowed["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert allowed["Action"] == ["s3:PutObject"]
    source = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/test-api/*"
    assert allowed["Condition"] == {"ArnLike": {"aws:SourceArn": source}}
    assert allowed["Resource"][0].endswith("/AWSLogs/123456789012/*")
    assert [each["Condition"] for each in refused] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    ]
    assert found["BucketOwnershipControls", "access-logs"]["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_an_address_that_asks_too_much_is_blocked_before_anything_else_is_asked(planned: Planned, at: Places) -> None:
    rules = made(planned, at(balancer={"requests_per_address": 500}))["WebAcl", "api"].inputs["rules"]
    first = min(rules, key=lambda each: int(each["priority"]))
    limit = first["statement"]["rateBasedStatement"]
    assert (limit["limit"], limit["evaluationWindowSec"], limit["aggregateKeyType"]) == (500, 300, "IP")
    assert first["action"] == {"block": {}}


def test_amazon_s_own_rules_block_and_do_not_only_count(found: Found) -> None:
    rules = found["WebAcl", "api"]["rules"][1:]
    assert {rule["statement"]["managedRuleGroupStatement"]["name"] for rule in rules} == {
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
        "AWSManagedRulesAmazonIpReputationList",
    }
    assert all(rule["overrideAction"] == {"none": {}} for rule in rules)


def test_what_waf_blocks_is_logged_without_the_clients_keys(found: Found) -> None:
    log, group = found["WebAclLoggingConfiguration", "api"], found["LogGroup", "api"]
    hidden = {each["singleHeader"]["name"] for each in log["redactedFields"]}
    assert hidden == {"authorization", "x-api-key"}
    assert log["loggingFilter"]["defaultBehavior"] == "DROP"
    assert group["name"].startswith("aws-waf-logs-")
    assert group["kmsKeyId"] == KEY


def test_waf_stands_before_this_balancer(found: Found) -> None:
    association = found["WebAclAssociation", "api"]
    assert ":test-api" in association["resourceArn"]


def test_the_longest_environment_has_names_that_aws_takes(planned: Planned, at: Places) -> None:
    resources = made(planned, at(environment="e" * 20))
    balancers = [
        each.inputs["name"] for (kind, _), each in resources.items() if kind in {"LoadBalancer", "TargetGroup"}
    ]
    assert len(balancers) == 3
    assert all(len(each) <= 32 for each in balancers)
    assert len(resources["Bucket", "access-logs"].inputs["bucket"]) <= 63
