"""Budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds.shared import found

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props


def _where(made: str) -> dict[str, str]:
    account, name = made.split(":", 1)
    return {"AccountId": account, "BudgetName": name}


def _budget(wanted: Props) -> dict[str, Any]:
    return {
        "BudgetName": wanted["name"],
        "BudgetType": wanted["budgetType"],
        "TimeUnit": wanted["timeUnit"],
        "BudgetLimit": {"Amount": str(wanted["limitAmount"]), "Unit": wanted["limitUnit"]},
        "CostFilters": {each["name"]: each["values"] for each in wanted.get("costFilters") or ()},
    }


def _notifications(wanted: Props) -> list[dict[str, Any]]:
    return [
        {
            "Notification": {
                "NotificationType": each["notificationType"],
                "ComparisonOperator": each["comparisonOperator"],
                "Threshold": each["threshold"],
                "ThresholdType": each["thresholdType"],
            },
            "Subscribers": [
                {"SubscriptionType": "EMAIL", "Address": address} for address in each["subscriberEmailAddresses"]
            ],
        }
        for each in wanted.get("notifications") or ()
    ]


def _create(aws: Aws, wanted: Props) -> str:
    account = aws("sts").get_caller_identity()["Account"]
    tags = [{"Key": name, "Value": value} for name, value in (wanted.get("tags") or {}).items()]
    aws("budgets").create_budget(
        AccountId=account,
        Budget=_budget(wanted),
        NotificationsWithSubscribers=_notifications(wanted),
        ResourceTags=tags,
    )
    return f"{account}:{wanted['name']}"


def _read(aws: Aws, made: str, _: Props) -> Props | None:
    where = _where(made)
    there = aws("budgets").describe_budget(**where)["Budget"]
    filters = sorted(there.get("CostFilters", {}).items())
    return {
        "arn": f"arn:aws:budgets::{where['AccountId']}:budget/{where['BudgetName']}",
        "limitAmount": there["BudgetLimit"]["Amount"],
        "limitUnit": there["BudgetLimit"]["Unit"],
        "costFilters": [{"name": name, "values": values} for name, values in filters],
        **found(there, name="BudgetName", budgetType="BudgetType", timeUnit="TimeUnit"),
    }


def _change(aws: Aws, made: str, wanted: Props) -> None:
    # moto: has no UpdateBudget, and keeps a budget's own notifications with it: it is made anew under its name
    aws("budgets").delete_budget(**_where(made))
    _create(aws, wanted)


KINDS = (
    Kind(
        type="aws:budgets/budget:Budget",
        create=_create,
        read=_read,
        delete=lambda aws, made, _: aws("budgets").delete_budget(**_where(made)),
        updates=updates(_change, "limitAmount", "limitUnit", "timeUnit", "costFilters", "notifications", "tags"),
        fixed=frozenset({"name", "budgetType"}),
        # moto: tells neither a notification's subscribers nor a budget's tags
        unread=frozenset({"notifications", "tags"}),
        drifts={
            "limitAmount": lambda value: str(float(value) + 1),
            "timeUnit": lambda value: "QUARTERLY" if value == "MONTHLY" else "MONTHLY",
            "costFilters": lambda _: [],
        },
    ),
)
