from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from tests.infra.cloud.conftest import ACCOUNT, REGION
from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab


def program() -> None:
    aws.budgets.Budget(
        "month",
        name="month",
        budget_type="COST",
        limit_amount="1000",
        limit_unit="USD",
        time_unit="MONTHLY",
        cost_filters=[{"name": "TagKeyValue", "values": ["user:environment$test"]}],
        notifications=[
            {
                "notification_type": "FORECASTED",
                "comparison_operator": "GREATER_THAN",
                "threshold": 100,
                "threshold_type": "PERCENTAGE",
                "subscriber_email_addresses": ["oncall@example.com"],
            }
        ],
        tags={"Name": "month"},
    )


def test_a_budget_lives_and_every_change_of_it_is_named(lab: Lab) -> None:
    assert whole_life(lab, program) == {"Budget.limitAmount", "Budget.timeUnit", "Budget.costFilters"}


def test_a_budget_tells_by_its_own_notifications(lab: Lab) -> None:
    lab.up(program)
    where = {"AccountId": ACCOUNT, "BudgetName": "month"}
    (found,) = lab.reach(REGION)("budgets").describe_notifications_for_budget(**where)["Notifications"]
    assert (found["NotificationType"], found["Threshold"]) == ("FORECASTED", 100)
