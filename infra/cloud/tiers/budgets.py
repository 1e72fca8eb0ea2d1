"""The month's budget: told when it is spent, and before, when it looks as if it will be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi_aws as aws

from infra.cloud.site import Tier

if TYPE_CHECKING:
    import pulumi

    from infra.cloud.site import Site

# Of the budget, in percent. The forecast tells while something can still be done.
_TELL = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """The settings hold all of it: monitoring.budget_usd and monitoring.email."""

    site: Site


class Budget(Tier):
    """`name` is the budget's. It counts what has this environment's tag, once the tag is active for cost allocation."""

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site, monitoring = args.site, args.site.settings.monitoring
        budget = aws.budgets.Budget(
            "month",
            name=site.name("month"),
            budget_type="COST",
            limit_amount=str(monitoring.budget_usd),
            limit_unit="USD",
            time_unit="MONTHLY",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:environment${site.settings.environment}"]}],
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": [monitoring.email],
                }
                for kind, percent in _TELL
            ],
            tags=site.tags("month"),
            opts=self.child(),
        )
        self.name = budget.name
        self.register_outputs({"name": self.name})
