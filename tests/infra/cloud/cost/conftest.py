"""A small price table, whose figures can be worked with by hand."""

from __future__ import annotations

from typing import Any

import pytest

from infra.cloud.cost.prices import Prices, parsed

SOURCE = {"of": "something", "address": "https://example.com", "seen": "by hand", "date": "2026-01-02"}


def simple() -> dict[str, Any]:
    """Every price of the real table's names that a small stack needs, at one dollar a unit in the test's region."""
    names = (
        "ec2.t4g.small", "aurora.db.t4g.medium", "rds.db.t4g.medium", "elasticache.cache.t4g.micro", "ebs.gp3",
        "aurora.storage", "aurora.io", "aurora.backup", "rds.storage", "rds.backup", "nat.hour", "nat.data",
        "endpoint.hour", "ipv4.hour", "alb.hour", "alb.lcu", "waf.acl", "waf.rule", "waf.requests", "transfer.out",
        "transfer.zones", "transfer.region", "s3.storage", "s3.cold", "s3.rarely", "kms.key", "secrets.secret",
        "logs.ingest", "logs.storage", "cloudwatch.alarm", "cloudwatch.metric", "route53.zone", "route53.check",
        "route53.option", "prometheus.samples", "prometheus.samples-more", "ec2.t4g.medium",
    )  # fmt: skip
    prices = {name: {"unit": "unit", "source": "here", "usd": {"us-east-1": 1.0, "us-west-2": 2.0}} for name in names}
    return {"about": [], "currency": "USD", "sources": {"here": SOURCE}, "prices": prices}


@pytest.fixture
def prices() -> Prices:
    return parsed(simple())


@pytest.fixture
def raw() -> dict[str, Any]:
    return simple()
