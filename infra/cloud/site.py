"""What all tiers of one stack share: names, tags, the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

if TYPE_CHECKING:
    from infra.cloud.settings import Settings


@dataclass(frozen=True)
class Site:
    """One stack in one region of one account; `zones` are three availability zones.

    `boundary` is the ARN of the policy that every role gets as its permissions boundary, where there is one.
    """

    settings: Settings
    account: str
    region: str
    zones: tuple[str, ...]
    boundary: pulumi.Input[str] | None = None

    @property
    def prefix(self) -> str:
        """What every name begins with."""
        return f"simplicity-{self.settings.environment}"

    def name(self, part: str) -> str:
        """Return the name of a resource: `simplicity-production-api`."""
        return f"{self.prefix}-{part}"

    def tags(self, part: str, **more: str) -> dict[str, str]:
        """Return the tags of a resource: who pays and what it belongs to, beside its name."""
        return {
            "Name": self.name(part),
            "project": "simplicity",
            "environment": self.settings.environment,
            "owner": self.settings.owner,
            "cost-center": self.settings.cost_center,
            **more,
        }

    def arn(self, service: str, resource: str, region: str | None = None) -> str:
        """Return an ARN of this account; `region` is empty for what has none."""
        return f"arn:aws:{service}:{self.region if region is None else region}:{self.account}:{resource}"


class Tier(pulumi.ComponentResource):
    """A component, `simplicity:tier:Network`; what it makes is its child."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"simplicity:tier:{type(self).__name__}", name, None, opts)

    def child(self, **more: Any) -> pulumi.ResourceOptions:  # noqa: ANN401 - the options' own types
        """Return the options of a child."""
        return pulumi.ResourceOptions(parent=self, **more)
