"""The database on hosts of our own: three of them, which playbooks make a cluster of PostgreSQL with Patroni."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from infra.cloud.site import Tier
from infra.cloud.tiers import hosts, postgres

if TYPE_CHECKING:
    import pulumi_aws as aws

    from infra.cloud.tiers.postgres import DatabaseArgs

# Three agree on a leader when one of them is gone; two never do.
HOSTS = 3


class Patroni(Tier):
    """Three hosts with a disk each for the data; `writer` lists all of them, and clients look for who leads."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        if args.image is None or args.profile is None:
            raise ValueError("database.kind patroni needs an image and an instance profile for its hosts")
        made: list[aws.ec2.Instance] = []
        before: list[pulumi.Resource] = []
        for number in range(HOSTS):
            host, before = self._host(args, args.image, args.profile, number, before)
            made.append(host)
        self.addresses = tuple(host.private_ip for host in made)
        self.writer = pulumi.Output.all(*self.addresses).apply(",".join)
        self.reader = self.writer
        self.port = pulumi.Output.from_input(postgres.PORT)
        self.identifier = pulumi.Output.from_input(args.site.settings.environment)  # the scope that Patroni knows it by
        self.arn: pulumi.Output[str] | None = None
        # Its superuser's password is one of the stack's own secrets.
        self.admin_secret_arn: pulumi.Output[str] | None = None
        self.register_outputs({"writer": self.writer, "identifier": self.identifier})

    def _host(
        self,
        args: DatabaseArgs,
        image: pulumi.Input[str],
        profile: pulumi.Input[str],
        number: int,
        before: list[pulumi.Resource],
    ) -> tuple[aws.ec2.Instance, list[pulumi.Resource]]:
        """Make a host with its volume once those `before` are there; returns the host, and what the next waits for."""
        settings, part = args.site.settings.database, f"database-{number + 1}"
        wanted = hosts.HostArgs(
            site=args.site,
            role="database",
            # The host of an RDS class has the same name without its prefix.
            instance_type=settings.instance_class.removeprefix("db."),
            image=image,
            subnet=args.subnets[number],
            groups=[args.security_group],
            profile=profile,
            key=args.data_key,
            zone=args.site.zones[number],
        )
        # One after the other: a change that stops or replaces hosts leaves two, which agree on a leader.
        host = hosts.instance(part, wanted, self.child(depends_on=before))
        return host, [host, hosts.volume(part, host, wanted, settings.storage_gb, self)]
