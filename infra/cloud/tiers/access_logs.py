"""Where the load balancer's log of requests goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.site import Site, Tier
from infra.cloud.tiers import buckets

if TYPE_CHECKING:
    import pulumi

    from infra.cloud.tiers.policy import Statement

PART = "access-logs"


class AccessLogs(Tier):
    """A bucket that only the load balancers named `balancer` of this account write; `name` is known once they may."""

    def __init__(self, name: str, site: Site, balancer: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.name = buckets.of_logs(self, PART, site, _write(site, balancer), site.settings.balancer.log_days).bucket
        self.register_outputs({"name": self.name})


def _write(site: Site, balancer: str) -> Statement:
    source = site.arn("elasticloadbalancing", f"loadbalancer/app/{balancer}/*")
    return {
        "Sid": "Write",
        "Effect": "Allow",
        "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        "Action": ["s3:PutObject"],
        "Resource": [f"{buckets.arn(site, PART)}/AWSLogs/{site.account}/*"],
        "Condition": {"ArnLike": {"aws:SourceArn": source}},
    }
