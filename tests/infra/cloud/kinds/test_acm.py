from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.tiers.certificate import Certificate, CertificateArgs
from infra.cloud.tiers.names import Zone, ZoneArgs
from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.lab import Lab
    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places

REGION = "us-east-1"


def programs(site: Site) -> Callable[[], None]:
    def program() -> None:
        zone = Zone("zone", ZoneArgs(site=site))
        Certificate("certificate", CertificateArgs(site=site, zone_id=zone.zone_id))

    return program


def test_a_certificate_and_its_proof_live_and_every_change_of_them_is_named(lab: Lab, at: Places) -> None:
    changed = whole_life(lab, programs(at(database={"protect": False})))
    assert changed == {"Certificate.tags", "Zone.comment", "Zone.tags", "Record.records", "Record.ttl"}


def test_a_certificate_is_good_for_both_names_and_proven_in_the_zone(lab: Lab, at: Places) -> None:
    lab.up(programs(at(database={"protect": False})))
    names = [each.inputs["name"] for each in lab.state.managed() if each.type.endswith(":Record")]
    assert [name.partition(".")[2] for name in names] == ["brc20.example.com", f"{REGION}.brc20.example.com"]
    (wait,) = (each for each in lab.state.managed() if each.type.endswith(":CertificateValidation"))
    found = lab.reach(REGION)("acm").describe_certificate(CertificateArn=wait.outputs["certificateArn"])["Certificate"]
    assert found["Status"] == "ISSUED"


def test_the_next_region_finds_the_same_proof_there_already(lab: Lab, at: Places) -> None:
    program = programs(at(database={"protect": False}))
    lab.up(program)
    proof = next(each for each in lab.state.managed() if each.type.endswith(":Record"))
    lab.state.drop(proof.urn)
    assert [step.op for step in lab.up(program)] == ["create"]
    assert lab.drifts() == []
