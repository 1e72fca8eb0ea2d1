"""Pipelines' roles: whom AWS believes, what they may do, and above all what they may not."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pytest

from infra.cloud import program, stacks
from infra.cloud.tiers import grants
from infra.cloud.tiers.pipelines import bounded
from tests.infra.cloud.recording import Registered, recorded
from tests.infra.cloud.tiers.calls import calls
from tests.infra.cloud.tiers.documents import of, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places

    Planned = Callable[[Callable[[], None]], list[Registered]]

ACCOUNT = "123456789012"
IAM = f"arn:aws:iam::{ACCOUNT}"
PIPELINES = {
    "repository": "example/simplicity",
    "state": "example-state",
    "state_key": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/5e",
}
OURS = {"aws:ResourceTag/environment": "test", "aws:RequestedRegion": "us-east-1"}
BOUNDARY = f"{IAM}:policy/simplicity-test-boundary"
# What IAM calls otherwise than the API does. Source: service authorization reference.
OTHERWISE = {
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketReplication": "s3:PutReplicationConfiguration",
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutBucketReplication": "s3:PutReplicationConfiguration",
    "s3:PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "budgets:CreateBudget": "budgets:ModifyBudget",
    "budgets:DeleteBudget": "budgets:ModifyBudget",
    "budgets:DescribeBudget": "budgets:ViewBudget",
}
# What a stack's own life takes, and a pipeline's does not: a person takes it down and empties it.
BY_HAND = {
    "backup:DeleteBackupVaultLockConfiguration",
    "cloudtrail:DeleteTrail",
    "cloudtrail:StopLogging",
    "s3:ListObjectVersions",
    # What the emulator leaves behind, and AWS does not.
    "ec2:DeleteNetworkInterface",
    "rds:DeleteDBClusterSnapshot",
    "rds:DescribeDBClusterSnapshots",
    "sts:GetCallerIdentity",  # nobody needs a right to it
    # Of the pipelines themselves.
    *(f"iam:{each}Policy" for each in ("Create", "Delete", "Tag", "Untag")),
    *(f"iam:{each}PolicyVersion" for each in ("Create", "Delete")),
    *(f"iam:{each}OpenIDConnectProvider" for each in ("Create", "Delete", "Tag", "Untag")),
    "iam:AddClientIDToOpenIDConnectProvider",
    "iam:RemoveClientIDFromOpenIDConnectProvider",
    "iam:UpdateOpenIDConnectProviderThumbprint",
    "iam:ListPolicyTags",
    "iam:ListOpenIDConnectProviderTags",
    "iam:DeleteRolePermissionsBoundary",
}


@pytest.fixture
def site(at: Places) -> Site:
    return at(pipelines=PIPELINES)


def made(planned: Planned, of_site: Site) -> list[Registered]:
    return planned(lambda: (bounded(of_site), None)[1])


def rights(site: Site, role: str) -> list[dict[str, Any]]:
    """Return all that a role's policies say."""
    up = [each for part in grants.CHANGES for each in grants.changes(site, part)]
    up += grants.identities(site, BOUNDARY)
    own = grants.state(site, writes=role == grants.UP)
    found: list[dict[str, Any]] = json.loads(
        json.dumps([*grants.looks(site), *own, *(up if role == grants.UP else [])])
    )
    return found


def may(found: Iterable[dict[str, Any]], action: str, resource: str, **context: str) -> bool:
    """Say whether statements allow an action, as AWS evaluates them: a refusal counts above all."""
    given = {name.replace("__", "/").replace("_", ":", 1): value for name, value in context.items()}
    return decided(found, action, resource, {"aws:RequestedRegion": "us-east-1", **given})


def decided(found: Iterable[dict[str, Any]], action: str, resource: str, given: dict[str, str]) -> bool:
    effects = [
        each["Effect"]
        for each in found
        if action in each["Action"]
        and any(fnmatchcase(resource, pattern) for pattern in each["Resource"])
        and all(
            given.get(name) in (values if isinstance(values, list) else [values])
            for name, values in each.get("Condition", {}).get("StringEquals", {}).items()
        )
    ]
    return "Allow" in effects and "Deny" not in effects


def test_without_a_repository_there_is_nothing_and_no_boundary(planned: Planned, at: Places) -> None:
    assert made(planned, at()) == []
    assert bounded(at()) == (at(), {})


@pytest.mark.parametrize(("role", "environment"), [("plan", "test-plan"), ("up", "test")])
def test_a_role_is_for_the_jobs_of_one_environment_of_one_repository(
    role: str, environment: str, planned: Planned, site: Site
) -> None:
    (trust,) = statements(of(made(planned, site), "iam/role:Role")[role].inputs["assumeRolePolicy"])
    issuer = "token.actions.githubusercontent.com"
    assert trust["Action"] == ["sts:AssumeRoleWithWebIdentity"]
    assert trust["Condition"] == {
        "StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": f"repo:example/simplicity:environment:{environment}",
        }
    }


def test_an_account_believes_github_once(planned: Planned, at: Places) -> None:
    kind = "iam/openIdConnectProvider:OpenIdConnectProvider"
    (provider,) = of(made(planned, at(pipelines=PIPELINES)), kind).values()
    assert provider.inputs["url"] == "https://token.actions.githubusercontent.com"
    assert provider.inputs["clientIdLists"] == ["sts.amazonaws.com"]
    second = made(planned, at(pipelines={**PIPELINES, "provider": "use"}))
    assert not of(second, kind)
    (trust,) = statements(of(second, "iam/role:Role")["up"].inputs["assumeRolePolicy"])
    assert trust["Principal"] == {"Federated": f"{IAM}:oidc-provider/token.actions.githubusercontent.com"}


def test_each_policy_is_as_long_as_aws_takes_it_and_no_role_has_more_than_ten(planned: Planned, at: Places) -> None:
    longest = at(environment="a-very-long-name-of2", pipelines=PIPELINES)
    found = made(planned, longest)
    for each in of(found, "iam/policy:Policy").values():
        assert len("".join(each.inputs["policy"].split())) <= 6_144, each.name
    attached = [each.inputs["role"] for each in found if each.type.endswith("RolePolicyAttachment")]
    assert max(attached.count(role) for role in attached) <= 10


def test_no_action_is_named_by_a_pattern_and_no_service_as_a_whole(site: Site) -> None:
    everything = [*rights(site, grants.UP), *grants.bounds(site)]
    assert not [action for each in everything for action in each["Action"] if "*" in action]


def test_the_role_that_plans_changes_nothing(site: Site) -> None:
    changing = {
        action for part in grants.CHANGES for each in grants.changes(site, part) for action in each["Action"]
    } | {action for each in grants.identities(site, BOUNDARY) for action in each["Action"]}
    actions = {action for each in rights(site, grants.PLAN) for action in each["Action"]}
    # Opens the secrets of the state: of one key alone.
    assert actions & changing == {"kms:Decrypt"}
    words = ("Describe", "Get", "List", "View", "Decrypt")
    assert [each for each in actions if not each.partition(":")[2].startswith(words)] == []


@pytest.mark.parametrize("role", [grants.PLAN, grants.UP])
def test_neither_reads_a_secret_a_backup_or_another_stacks_state(role: str, site: Site) -> None:
    found = rights(site, role)
    secret = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:simplicity/test/auth_pepper-abcdef"
    assert not may(found, "secretsmanager:GetSecretValue", secret)
    assert may(found, "secretsmanager:DescribeSecret", secret)
    assert not may(found, "s3:GetObject", f"arn:aws:s3:::simplicity-test-backups-{ACCOUNT}/backup")
    state = "arn:aws:s3:::example-state/.pulumi/stacks/simplicity"
    assert may(found, "s3:GetObject", f"{state}/test.json")
    assert not may(found, "s3:GetObject", f"{state}/test-other.json")
    assert may(found, "s3:PutObject", f"{state}/test.json") is (role == grants.UP)


def test_up_makes_roles_within_the_boundary_alone_and_never_its_own(site: Site) -> None:
    found, role = rights(site, grants.UP), f"{IAM}:role/simplicity-test-api"
    within = {"iam:PermissionsBoundary": BOUNDARY, "aws:RequestedRegion": "us-east-1"}
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"):
        assert decided(found, action, role, within)
        assert not decided(found, action, role, {"aws:RequestedRegion": "us-east-1"})
        assert not decided(found, action, f"{IAM}:role/somebody-elses", within)
        for own in (grants.PLAN, grants.UP):
            assert not decided(found, action, f"{IAM}:role/simplicity-test-{own}", within)
    for own in (grants.PLAN, grants.UP):
        assert not may(found, "iam:UpdateAssumeRolePolicy", f"{IAM}:role/simplicity-test-{own}")
    for action in (
        "iam:DeleteRolePermissionsBoundary",
        "iam:CreatePolicyVersion",
        "iam:CreateUser",
        "iam:CreatePolicy",
    ):
        assert not decided(found, action, BOUNDARY, within)
        assert not decided(found, action, role, within)


def test_up_hands_roles_to_the_services_that_the_program_uses_alone(site: Site) -> None:
    found, role = rights(site, grants.UP), f"{IAM}:role/simplicity-test-api"

    def passes(to: str) -> bool:
        return decided(found, "iam:PassRole", role, {"iam:PassedToService": f"{to}.amazonaws.com"})

    assert passes("ec2")
    assert not passes("lambda")


def test_up_changes_what_bears_the_stacks_tag_in_its_regions_alone(site: Site) -> None:
    found, host = rights(site, grants.UP), f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1"
    assert decided(found, "ec2:TerminateInstances", host, OURS)
    assert not decided(found, "ec2:TerminateInstances", host, {**OURS, "aws:ResourceTag/environment": "production"})
    assert not decided(found, "ec2:TerminateInstances", host, {**OURS, "aws:RequestedRegion": "eu-west-3"})
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
    assert decided(found, "kms:ScheduleKeyDeletion", key, OURS)
    assert not decided(found, "kms:ScheduleKeyDeletion", key, {"aws:RequestedRegion": "us-east-1"})


def test_up_tags_only_what_is_made_at_this_moment_or_is_the_stacks_already(site: Site) -> None:
    found, host = rights(site, grants.UP), f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1"
    new = {"aws:RequestTag/environment": "test", "aws:RequestedRegion": "us-east-1"}
    assert decided(found, "ec2:CreateTags", host, {**new, "ec2:CreateAction": "RunInstances"})
    assert not decided(found, "ec2:CreateTags", host, new)
    assert decided(found, "ec2:CreateTags", host, OURS)


@pytest.mark.parametrize(
    ("action", "ours", "theirs"),
    [
        ("rds:DeleteDBCluster", "rds:us-east-1:{}:cluster:simplicity-test-database", "rds:us-east-1:{}:cluster:other"),
        ("s3:DeleteBucketPolicy", "s3:::simplicity-test-backups-{}", "s3:::example-state"),
        ("sns:DeleteTopic", "sns:us-east-1:{}:simplicity-test-alarms", "sns:us-east-1:{}:others"),
        ("logs:DeleteLogGroup", "logs:us-east-1:{}:log-group:/simplicity/test/x", "logs:us-east-1:{}:log-group:/x"),
    ],
)
def test_up_changes_what_bears_the_stacks_name_alone(action: str, ours: str, theirs: str, site: Site) -> None:
    found = rights(site, grants.UP)
    assert may(found, action, f"arn:aws:{ours.format(ACCOUNT)}")
    assert not may(found, action, f"arn:aws:{theirs.format(ACCOUNT)}")


def test_up_changes_records_of_its_own_domain_in_the_zone_of_the_settings_alone(at: Places) -> None:
    found = rights(at(pipelines=PIPELINES, names={"zone_id": "Z1"}), grants.UP)
    (records,) = [each for each in found if "route53:ChangeResourceRecordSets" in each["Action"]]
    assert records["Resource"] == ["arn:aws:route53:::hostedzone/Z1"]
    domain = "brc20.example.com"
    assert records["Condition"]["ForAllValues:StringLike"] == {
        "route53:ChangeResourceRecordSetsNormalizedRecordNames": [domain, f"*.{domain}"]
    }


def test_who_came_in_by_a_pipeline_cannot_stop_the_trail(site: Site) -> None:
    trail = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/simplicity-test-trail"
    assert may(rights(site, grants.UP), "cloudtrail:UpdateTrail", trail)
    assert not may(rights(site, grants.UP), "cloudtrail:StopLogging", trail)
    assert not may(rights(site, grants.UP), "cloudtrail:DeleteTrail", trail)


def test_up_may_do_each_call_that_a_rehearsal_makes_but_what_is_by_hand(site: Site) -> None:
    allowed = {action for each in rights(site, grants.UP) if each["Effect"] == "Allow" for action in each["Action"]}
    made_by_a_rehearsal = {OTHERWISE.get(each, each) for each in calls()}
    assert len(made_by_a_rehearsal) > 200
    assert made_by_a_rehearsal - allowed - BY_HAND == set()


@pytest.mark.parametrize("database", ["aurora", "rds", "patroni"])
def test_every_role_of_a_stack_has_the_boundary_and_needs_nothing_beyond_it(database: str, at: Places) -> None:
    grafana = {"kind": "managed", "metadata_url": "https://idp.example.com", "admins": ["admin"]}
    settings = at(
        pipelines=PIPELINES,
        database={"kind": database, "readers": 0},
        monitoring={"kind": "managed"},
        grafana=grafana,
        trail={"kind": "account"},
    ).settings
    made_all = recorded(lambda: program.build(settings))
    roles = of(made_all, "iam/role:Role")
    assert {name for name, each in roles.items() if not each.inputs.get("permissionsBoundary")} == {"plan", "up"}
    bounds = json.loads(of(made_all, "iam/policy:Policy")["boundary"].inputs["policy"])["Statement"]
    most = {action for each in bounds for action in each["Action"]}
    assert not [each for each in most if each.startswith(("iam:", "sts:", "organizations:"))]
    for name, each in of(made_all, "iam/rolePolicy:RolePolicy").items():
        if name not in {"plan", "up"}:
            needed = {action for one in statements(each.inputs["policy"]) for action in one["Action"]}
            assert needed <= most, name


@pytest.mark.parametrize("stack", stacks.names())
def test_the_names_of_what_a_stack_makes_are_within_the_rights_of_its_pipeline(stack: str) -> None:
    settings = stacks.load(stack)
    names = {
        str(each.inputs["name"])
        for each in recorded(lambda: program.build(settings))
        if each.type.partition("/")[0] in {"aws:sns", "aws:autoscaling", "aws:budgets", "aws:cloudtrail", "aws:iam"}
        and "name" in each.inputs
    }
    assert all(each.startswith(f"simplicity-{settings.environment}-") for each in names)
