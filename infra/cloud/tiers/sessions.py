"""Where files pass that the playbooks bring to hosts, since a session of Systems Manager carries none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.cloud.site import Site, Tier
from infra.cloud.tiers import buckets

if TYPE_CHECKING:
    import pulumi

PART = "sessions"


@dataclass(frozen=True, kw_only=True)
class SessionsArgs:
    """`key` encrypts what passes: the ARN of the key of secrets, since files have some in them."""

    site: Site
    key: pulumi.Input[str]


class Sessions(Tier):
    """A bucket, `bucket` by name, whose objects are gone within a day if a play that broke off has left some.

    Who runs the playbooks gives each host addresses that are signed for minutes: no role of a host may read it, or one
    host would see the others' secrets.
    """

    def __init__(self, name: str, args: SessionsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.bucket = buckets.passing(self, PART, args.site, args.key).bucket
        self.register_outputs({"bucket": self.bucket})
