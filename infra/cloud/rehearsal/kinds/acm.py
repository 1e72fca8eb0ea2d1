"""Certificates and the wait for their proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind
from infra.cloud.rehearsal.kinds.others import tagged
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_WAIT = {"Delay": 1, "MaxAttempts": 90}
# What the plugin gives a wait as its id: the time of the beginning.
_WAITED = "0001-01-01 00:00:00 +0000 UTC"


def _certificate(aws: Aws, arn: str) -> dict[str, Any]:
    return dict(aws("acm").describe_certificate(CertificateArn=arn)["Certificate"])


def _create(aws: Aws, wanted: Props) -> str:
    arguments = given(
        wanted,
        DomainName="domainName",
        SubjectAlternativeNames="subjectAlternativeNames",
        ValidationMethod="validationMethod",
        KeyAlgorithm="keyAlgorithm",
    )
    return str(aws("acm").request_certificate(**arguments, **tagged(wanted))["CertificateArn"])


def _read(aws: Aws, made: str, _: Props) -> Props | None:
    certificate = _certificate(aws, made)
    name = certificate["DomainName"]
    options = sorted(certificate["DomainValidationOptions"], key=lambda each: str(each["DomainName"]))
    return {
        "arn": made,
        "subjectAlternativeNames": sorted(set(certificate["SubjectAlternativeNames"]) - {name}),
        "validationMethod": options[0]["ValidationMethod"],
        "domainValidationOptions": [_option(each) for each in options],
        "tags": mapping(aws("acm").list_tags_for_certificate(CertificateArn=made)["Tags"]),
        **found(certificate, domainName="DomainName", status="Status"),
    }


def _option(option: dict[str, Any]) -> Props:
    record = found(
        option["ResourceRecord"], resourceRecordName="Name", resourceRecordType="Type", resourceRecordValue="Value"
    )
    return {"domainName": option["DomainName"], **record}


def _wait(aws: Aws, wanted: Props) -> str:
    aws("acm").get_waiter("certificate_validated").wait(CertificateArn=wanted["certificateArn"], WaiterConfig=_WAIT)
    return _WAITED


def _read_wait(aws: Aws, _: str, known: Props) -> Props | None:
    certificate = _certificate(aws, known["certificateArn"])
    return {"certificateArn": certificate["CertificateArn"]} if certificate["Status"] == "ISSUED" else None


KINDS = (
    Kind(
        type="aws:acm/certificate:Certificate",
        create=_create,
        read=_read,
        delete=lambda aws, made, _: aws("acm").delete_certificate(CertificateArn=made),
        updates={
            "tags": retag(
                lambda aws, made: mapping(aws("acm").list_tags_for_certificate(CertificateArn=made)["Tags"]),
                lambda aws, made, tags: aws("acm").add_tags_to_certificate(CertificateArn=made, Tags=tags),
                lambda aws, made, names: aws("acm").remove_tags_from_certificate(
                    CertificateArn=made, Tags=[{"Key": name} for name in names]
                ),
            )
        },
        fixed=frozenset({"domainName", "subjectAlternativeNames", "validationMethod", "keyAlgorithm"}),
        # moto makes RSA keys whatever was asked.
        unread=frozenset({"keyAlgorithm"}),
        delete_first=False,
    ),
    Kind(
        type="aws:acm/certificateValidation:CertificateValidation",
        create=_wait,
        read=_read_wait,
        delete=lambda _aws, _made, _known: None,
        fixed=frozenset({"certificateArn", "validationRecordFqdns"}),
        # What it waited for; the records are resources of their own.
        unread=frozenset({"validationRecordFqdns"}),
    ),
)
