"""The Bitcoin node: a host of ours with a volume for the chain, or somebody's endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from infra.cloud.site import Tier
from infra.cloud.tiers.firewall import RPC_PORTS
from infra.cloud.tiers.hosts import HostArgs, instance, volume

if TYPE_CHECKING:
    from infra.cloud.site import Site


@dataclass(frozen=True, kw_only=True)
class NodeArgs:
    """`subnets` are the three private ones, `group` the node's security group, `key` the data's KMS key (an ARN)."""

    site: Site
    image: pulumi.Input[str]
    subnets: tuple[pulumi.Input[str], ...]
    group: pulumi.Input[str]
    profile: pulumi.Input[str] | None
    key: pulumi.Input[str]


class Node(Tier):
    """`url` answers RPC; `address` and `identifier` are the host's, None where there is none of ours."""

    def __init__(self, name: str, args: NodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site, settings = args.site, args.site.settings.node
        self.address: pulumi.Output[str] | None = None
        self.identifier: pulumi.Output[str] | None = None
        if settings.kind == "external":
            self.url = pulumi.Output.from_input(settings.url or "")
        else:
            if args.profile is None:
                raise ValueError("a node of ours needs an instance profile")
            of = HostArgs(
                site=site,
                role="node",
                instance_type=settings.instance_type,
                image=args.image,
                subnet=args.subnets[0],
                groups=(args.group,),
                profile=args.profile,
                key=args.key,
                zone=site.zones[0],
            )
            host = instance("node", of, self.child())
            # Days of downloading and verifying lie on it.
            volume("node", host, of, settings.volume_gb, self)
            self.address, self.identifier = host.private_ip, host.id
            # Plain HTTP inside the network: bitcoind has no TLS. The firewall lets only indexers in.
            self.url = pulumi.Output.format("http://{0}:{1}", host.private_ip, RPC_PORTS[site.settings.chain])
        self.register_outputs({"url": self.url, "address": self.address})
