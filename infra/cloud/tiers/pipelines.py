"""Pipelines at GitHub: a role that looks and one that changes this stack, without a key that anybody keeps.

GitHub says by a signed token which environment of which repository a job is of; AWS believes it for an hour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pulumi_aws as aws

from infra.cloud.site import Site, Tier
from infra.cloud.tiers import grants
from infra.cloud.tiers.policy import Statement, document

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

ISSUER, AUDIENCE = "token.actions.githubusercontent.com", "sts.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class PipelinesArgs:
    """The settings hold the repository, and where the state lies."""

    site: Site


class Pipelines(Tier):
    """`roles` are the ARNs of `plan` and `up`; `boundary` that of the policy that holds every role of the stack."""

    def __init__(self, name: str, args: PipelinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._site = site = args.site
        self.boundary = self._policy(
            grants.BOUNDARY, f"What roles of {site.settings.environment} may at most do", grants.bounds(site)
        )
        provider = self._github()
        look = self._policy("look", "Shows how a stack is, and changes nothing", grants.looks(site))
        changes = [
            self._policy(part, f"Changes {', '.join(services)}", grants.changes(site, part))
            for part, services in grants.CHANGES.items()
        ]
        # By its name, which it is made with: a policy that waits for another's ARN could not be planned.
        boundary = site.arn("iam", f"policy/{site.name(grants.BOUNDARY)}", region="")
        changes.append(self._policy("up-identities", "Makes the roles of a stack", grants.identities(site, boundary)))
        environment = site.settings.environment
        self.roles = {
            grants.PLAN: self._role(grants.PLAN, f"{environment}-plan", provider, [look]),
            grants.UP: self._role(grants.UP, environment, provider, [look, *changes]),
        }
        self.register_outputs({"roles": self.roles, "boundary": self.boundary})

    def _github(self) -> pulumi.Input[str]:
        site = self._site
        if site.settings.pipelines.provider == "use":
            return site.arn("iam", f"oidc-provider/{ISSUER}", region="")
        return aws.iam.OpenIdConnectProvider(
            "github",
            url=f"https://{ISSUER}",
            client_id_lists=[AUDIENCE],
            tags=site.tags("github"),
            # Other stacks of the account use it.
            opts=self.child(protect=site.settings.database.protect),
        ).arn

    def _policy(self, part: str, says: str, statements: Sequence[Statement]) -> pulumi.Output[str]:
        site = self._site
        return aws.iam.Policy(
            part,
            name=site.name(part),
            description=says,
            policy=document(statements),
            tags=site.tags(part),
            opts=self.child(),
        ).arn

    def _role(
        self,
        part: str,
        environment: str,
        provider: pulumi.Input[str],
        policies: Sequence[pulumi.Output[str]],
    ) -> pulumi.Output[str]:
        """Make a role for the jobs of one environment at GitHub: no branch, no pull request and no other repository."""
        site = self._site
        subject = f"repo:{site.settings.pipelines.repository}:environment:{environment}"
        trusted = {
            "Effect": "Allow",
            "Principal": {"Federated": provider},
            "Action": ["sts:AssumeRoleWithWebIdentity"],
            "Condition": {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subject}},
        }
        role = aws.iam.Role(
            part,
            name=site.name(part),
            description=f"Jobs of {subject}",
            assume_role_policy=document([trusted]),
            tags=site.tags(part),
            opts=self.child(),
        )
        aws.iam.RolePolicy(
            part,
            name=site.name(part),
            role=role.name,
            policy=document(grants.state(site, writes=part == grants.UP)),
            opts=self.child(),
        )
        for number, policy in enumerate(policies, 1):
            aws.iam.RolePolicyAttachment(f"{part}-{number}", role=role.name, policy_arn=policy, opts=self.child())
        return role.arn


def bounded(site: Site) -> tuple[Site, dict[str, pulumi.Output[str]]]:
    """Make the roles where a repository is named: the site whose roles they hold, and their ARNs; else nothing."""
    if site.settings.pipelines.repository is None:
        return site, {}
    made = Pipelines("pipelines", PipelinesArgs(site=site))
    return replace(site, boundary=made.boundary), made.roles
