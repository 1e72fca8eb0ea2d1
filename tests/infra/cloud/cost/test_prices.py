"""The price table: none is missing, none is nothing, each has a source and a day."""

from __future__ import annotations

import itertools
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from infra.cloud.cost.prices import PriceError, parsed, read, table

if TYPE_CHECKING:
    from pathlib import Path

    from infra.cloud.cost.prices import Prices


def test_every_figure_of_the_committed_table_has_a_source_with_an_address_and_a_day() -> None:
    for name, price in table().prices.items():
        source = table().sources[price.source]
        assert source.address.startswith("https://aws.amazon.com/"), name
        assert date.fromisoformat(source.date) >= date(2026, 1, 1), name


def test_no_source_is_left_that_no_price_names() -> None:
    assert {price.source for price in table().prices.values()} == table().sources.keys()


def test_the_committed_table_says_that_the_bill_decides() -> None:
    assert any("the bill decides" in line for line in table().about)


def test_prices_of_the_first_region_are_published_ones() -> None:
    assert not [name for name, price in table().prices.items() if "us-east-1" in price.derived]


def test_a_region_is_not_far_from_the_first_one_so_that_no_figure_is_mistyped() -> None:
    for name, price in table().prices.items():
        first = price.usd.get("us-east-1")
        for region, usd in price.usd.items():
            # Traffic between regions is the one thing that costs several times as much in Asia.
            assert first is None or name == "transfer.region" or 0.8 < usd / first < 1.5, (name, region)


def test_larger_hosts_of_a_family_cost_more() -> None:
    sizes = ("small", "medium", "large", "xlarge", "2xlarge")
    for family in ("ec2.c7g", "ec2.m7g", "ec2.r7g", "ec2.t4g", "aurora.db.r7g", "rds.db.r7g", "elasticache.cache.r7g"):
        found = [table().prices[f"{family}.{size}"].usd for size in sizes if f"{family}.{size}" in table().prices]
        assert len(found) > 1
        for less, more in itertools.pairwise(found):
            assert all(more[region] > less[region] for region in less), family


def test_a_missing_price_is_an_error_that_names_it_and_its_region(prices: Prices) -> None:
    with pytest.raises(PriceError, match=r"^ec2.c9g.large: has no price in us-east-1; add it to .*prices.json"):
        prices.usd("ec2.c9g.large", "us-east-1")
    with pytest.raises(PriceError, match=r"^ebs.gp3: has no price in eu-north-1"):
        prices.usd("ebs.gp3", "eu-north-1")


def test_a_price_for_all_regions_is_a_regions_where_that_has_none_of_its_own(raw: dict[str, Any]) -> None:
    raw["prices"]["kms.key"]["usd"] = {"*": 3.0, "eu-west-1": 4.0}
    found = parsed(raw)
    assert found.usd("kms.key", "sa-east-1") == 3.0
    assert found.usd("kms.key", "eu-west-1") == 4.0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"usd": {"us-east-1": 0}}, "kms.key: costs nothing in us-east-1"),
        ({"usd": {"us-east-1": -1}}, "kms.key: costs nothing in us-east-1"),
        ({"source": "hearsay"}, "kms.key: its source 'hearsay' is not among the sources"),
        ({"derived": ["eu-west-1"]}, "kms.key: eu-west-1 is derived, but has no figure"),
        ({"usd": {"us-east-1": "much"}}, "prices.kms.key.usd.us-east-1: Input should be a valid number"),
        ({"euro": 1}, "prices.kms.key.euro: Extra inputs are not permitted"),
    ],
)
def test_a_table_with_a_figure_that_cannot_be_is_refused(
    raw: dict[str, Any], change: dict[str, Any], says: str
) -> None:
    raw["prices"]["kms.key"].update(change)
    with pytest.raises(PriceError) as caught:
        parsed(raw)
    assert says in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text("{", encoding="utf-8")
    for name in ("prices.json", "none.json"):
        with pytest.raises(PriceError, match=f"^{name}: cannot be read: "):
            read(tmp_path / name)
