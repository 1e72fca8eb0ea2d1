"""The picture of a resource graph."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from infra.cloud.rehearsal.picture import boxes, layers, svg
from infra.cloud.rehearsal.state import Resource


def resource(tier: str, kind: str, name: str, *needs: str) -> Resource:
    urn = f"urn:pulumi:test::simplicity::simplicity:tier:{tier}${kind}::{name}"
    return Resource(urn=urn, type=kind, name=name, custom=True, dependencies=needs)


KEY = resource("Keys", "aws:kms/key:Key", "data")
VPC = resource("Network", "aws:ec2/vpc:Vpc", "net")
SUBNETS = [resource("Network", "aws:ec2/subnet:Subnet", f"s{n}", VPC.urn) for n in range(3)]
DATABASE = resource("Database", "aws:rds/cluster:Cluster", "db", KEY.urn, SUBNETS[0].urn)
ALL = [KEY, VPC, *SUBNETS, DATABASE]


def test_a_tier_stands_right_of_what_it_needs_and_counts_what_it_makes() -> None:
    first, second = layers(boxes(ALL))
    assert {box.name: box.made for box in first} == {"Keys": (("Key", 1),), "Network": (("Subnet", 3), ("Vpc", 1))}
    assert [(box.name, box.needs) for box in second] == [("Database", frozenset({"Keys", "Network"}))]


def test_tiers_that_need_each_other_still_have_a_place() -> None:
    one = resource("One", "aws:ec2/vpc:Vpc", "a")
    two = resource("Two", "aws:ec2/vpc:Vpc", "b", one.urn)
    back = resource("One", "aws:ec2/subnet:Subnet", "c", two.urn)
    assert sum(len(row) for row in layers(boxes([one, two, back]))) == 2


def test_the_picture_is_well_formed_and_has_a_box_for_each_tier_and_an_arrow_for_each_need() -> None:
    drawn = ET.fromstring(svg("Stack <production>", ALL))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    texts = [each.text for each in drawn.iter(f"{space}text")]
    assert texts[0] == "Stack <production>"
    assert "3 Subnet" in texts
    assert len(list(drawn.iter(f"{space}path"))) == 2
