"""The certificate of the public name, proven and renewed by records in its zone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_aws import acm, route53

from infra.cloud.site import Site, Tier
from infra.cloud.tiers.names import regional

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

_TTL = 300


@dataclass(frozen=True, kw_only=True)
class CertificateArgs:
    """`zone_id` is the hosted zone of the public name."""

    site: Site
    zone_id: pulumi.Input[str]


class Certificate(Tier):
    """`arn` is known once AWS has issued it: a balancer with one that is not yet would be refused.

    It is good for the public name and for this region's own, which the health checks ask.
    """

    def __init__(self, name: str, args: CertificateArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site = args.site
        names = (site.settings.names.domain, regional(site))
        certificate = acm.Certificate(
            "api",
            domain_name=names[0],
            subject_alternative_names=[names[1]],
            validation_method="DNS",
            key_algorithm="EC_prime256v1",
            tags=site.tags("api"),
            opts=self.child(),
        )
        # In a zone that regions share, so is the record of the public name: the first of them that goes must not take
        # it along, or the others' certificates are not renewed.
        shared = site.settings.names.zone_id is not None
        fqdns = [
            self._proof(each, args.zone_id, certificate, stays=shared and each == site.settings.names.domain)
            for each in names
        ]
        self.arn = acm.CertificateValidation(
            "api", certificate_arn=certificate.arn, validation_record_fqdns=fqdns, opts=self.child()
        ).certificate_arn
        self.register_outputs({"arn": self.arn})

    def _proof(
        self, name: str, zone: pulumi.Input[str], certificate: acm.Certificate, *, stays: bool
    ) -> pulumi.Output[str]:
        """Make the record that AWS looks for as long as there is the certificate, and if it `stays` for ever."""

        def option(field: str) -> pulumi.Output[str]:
            def chosen(options: Sequence[acm.outputs.CertificateDomainValidationOption]) -> str:
                return next(str(getattr(each, field)) for each in options if each.domain_name == name)

            return certificate.domain_validation_options.apply(chosen)

        return route53.Record(
            name,
            zone_id=zone,
            # Zones tell names without the dot at their end.
            name=option("resource_record_name").apply(lambda given: given.rstrip(".")),
            type=option("resource_record_type"),
            records=[option("resource_record_value")],
            ttl=_TTL,
            # Every region proves the public name by the same record: the next one finds it there.
            allow_overwrite=True,
            opts=self.child(retain_on_delete=stays),
        ).fqdn
