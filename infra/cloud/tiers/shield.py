"""The firewall of requests before the load balancer: WAF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_aws import cloudwatch, wafv2

from infra.cloud.site import Site, Tier

if TYPE_CHECKING:
    import pulumi

WINDOW_SECONDS = 300
# Amazon's groups in the order in which they are asked: the cheapest to decide first.
MANAGED = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesCommonRuleSet",
)
# Where clients say who they are: no log keeps it.
SECRET_HEADERS = ("authorization", "x-api-key")


@dataclass(frozen=True, kw_only=True)
class ShieldArgs:
    """`balancer` is the load balancer's ARN; `logs_key` encrypts the log of what was blocked."""

    site: Site
    balancer: pulumi.Input[str]
    logs_key: pulumi.Input[str]


class Shield(Tier):
    """`arn` of the web ACL, and the name of its `metric`."""

    def __init__(self, name: str, args: ShieldArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site = args.site
        self.metric = site.name("waf")
        acl = wafv2.WebAcl(
            "api",
            name=site.name("waf"),
            description=f"What clients of {site.prefix} may ask",
            scope="REGIONAL",
            default_action=wafv2.WebAclDefaultActionArgs(allow=wafv2.WebAclDefaultActionAllowArgs()),
            rules=[_rate(site), *(_managed(group, priority) for priority, group in enumerate(MANAGED, 1))],
            visibility_config=wafv2.WebAclVisibilityConfigArgs(
                metric_name=self.metric, cloudwatch_metrics_enabled=True, sampled_requests_enabled=True
            ),
            tags=site.tags("waf"),
            opts=self.child(),
        )
        self.arn = acl.arn
        wafv2.WebAclAssociation("api", resource_arn=args.balancer, web_acl_arn=acl.arn, opts=self.child())
        self._log(args)
        self.register_outputs({"arn": self.arn, "metric": self.metric})

    def _log(self, args: ShieldArgs) -> None:
        site = args.site
        group = cloudwatch.LogGroup(
            "api",
            # WAF takes only names that begin like this.
            name=f"aws-waf-logs-{site.prefix}",
            kms_key_id=args.logs_key,
            retention_in_days=site.settings.balancer.log_days,
            tags=site.tags("waf"),
            opts=self.child(),
        )
        wafv2.WebAclLoggingConfiguration(
            "api",
            resource_arn=self.arn,
            log_destination_configs=[group.arn],
            logging_filter=_only_blocked(),
            redacted_fields=[
                wafv2.WebAclLoggingConfigurationRedactedFieldArgs(
                    single_header=wafv2.WebAclLoggingConfigurationRedactedFieldSingleHeaderArgs(name=header)
                )
                for header in SECRET_HEADERS
            ],
            opts=self.child(),
        )


def _only_blocked() -> wafv2.WebAclLoggingConfigurationLoggingFilterArgs:
    """Keep what was blocked: what passes is in the balancer's log already, for a tenth of the price."""
    action = wafv2.WebAclLoggingConfigurationLoggingFilterFilterConditionActionConditionArgs(action="BLOCK")
    blocked = wafv2.WebAclLoggingConfigurationLoggingFilterFilterArgs(
        behavior="KEEP",
        requirement="MEETS_ANY",
        conditions=[wafv2.WebAclLoggingConfigurationLoggingFilterFilterConditionArgs(action_condition=action)],
    )
    return wafv2.WebAclLoggingConfigurationLoggingFilterArgs(default_behavior="DROP", filters=[blocked])


def _rate(site: Site) -> wafv2.WebAclRuleArgs:
    """Block an address that asks more than a client does; what passes meets the API's own limits."""
    return wafv2.WebAclRuleArgs(
        name="rate",
        priority=0,
        action=wafv2.WebAclRuleActionArgs(block=wafv2.WebAclRuleActionBlockArgs()),
        statement=wafv2.WebAclRuleStatementArgs(
            rate_based_statement=wafv2.WebAclRuleStatementRateBasedStatementArgs(
                limit=site.settings.balancer.requests_per_address,
                aggregate_key_type="IP",
                evaluation_window_sec=WINDOW_SECONDS,
            )
        ),
        visibility_config=_visible("rate"),
    )


def _managed(group: str, priority: int) -> wafv2.WebAclRuleArgs:
    return wafv2.WebAclRuleArgs(
        name=group,
        priority=priority,
        override_action=wafv2.WebAclRuleOverrideActionArgs(none=_as_they_are()),
        statement=wafv2.WebAclRuleStatementArgs(
            managed_rule_group_statement=wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
                vendor_name="AWS", name=group
            )
        ),
        visibility_config=_visible(group),
    )


def _as_they_are() -> wafv2.WebAclRuleOverrideActionNoneArgs:
    """Let Amazon's rules do what they say: counting alone blocks nobody."""
    return wafv2.WebAclRuleOverrideActionNoneArgs()  # type: ignore[no-untyped-call]  # the SDK leaves it out


def _visible(metric: str) -> wafv2.WebAclRuleVisibilityConfigArgs:
    return wafv2.WebAclRuleVisibilityConfigArgs(
        metric_name=metric, cloudwatch_metrics_enabled=True, sampled_requests_enabled=True
    )
