"""The rules as a policy pack of Pulumi's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from infra.cloud.policies.rules import RULES, Rule, stack_faults
from infra.cloud.policies.values import LATER

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "simplicity"


def resource_policy(rule: Rule) -> ResourceValidationPolicy:
    """Return a rule as a policy that refuses the resource."""

    def validate(args: ResourceValidationArgs, report: Callable[[str, str | None], None]) -> None:
        for fault in rule.faults(args.resource_type, plain(args.props)):
            report(fault, None)

    return ResourceValidationPolicy(rule.name, rule.reason, validate, EnforcementLevel.MANDATORY)


def stack_policy() -> StackValidationPolicy:
    """Return what only a whole stack tells."""

    def validate(args: StackValidationArgs, report: Callable[[str, str | None], None]) -> None:
        given: list[tuple[str, dict[str, Any]]] = [(each.resource_type, plain(each.props)) for each in args.resources]
        for fault in stack_faults(given):
            report(fault, None)

    return StackValidationPolicy(
        "whole", "every bucket is closed, every vault locked, every database backed up", validate
    )


def plain(props: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource's properties as the rules take them.

    The engine hands them over as mappings and sequences of its own, which raise where a value is not known yet.
    """
    return {name: _known(props, name) for name in props}


def _known(among: Any, place: Any) -> Any:  # noqa: ANN401 - any JSON value, in a mapping or a sequence
    try:
        value = among[place]
    except UnknownValueError:
        return LATER
    match value:
        case str() | bytes():
            return value
        case Mapping():
            return plain(value)
        case Sequence():
            return [_known(value, each) for each in range(len(value))]
        case float() if value.is_integer():
            # The wire has no whole numbers.
            return int(value)
        case _:
            return value


def make() -> PolicyPack:
    """Register the pack with the engine that started this process."""
    return PolicyPack(NAME, [*(resource_policy(rule) for rule in RULES), stack_policy()], EnforcementLevel.MANDATORY)
