#!/usr/bin/python3 -I
"""Tell CloudWatch how many blocks the index lacks, where this host's sync is the one that writes.

A standby has not asked the node for a while: what it would tell is old. Without a figure no group is scaled.
"""

from __future__ import annotations

import argparse
import math
import ssl
import sys
import urllib.request
from typing import Any

NAMESPACE, METRIC = "Simplicity", "IndexerLagBlocks"
WRITER = 'simplicity_sync_role{simplicity_sync_role="writer"}'
TIP, NODE = "simplicity_tip_height", "simplicity_node_height"
SECONDS = 10.0


def lag(text: str) -> float | None:
    """Return how many blocks the node has that the index lacks, of sync's metrics; None where it does not write."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name in {WRITER, TIP, NODE}:
            found[name] = float(value)
    if not found.get(WRITER) or TIP not in found or NODE not in found:
        return None
    behind = found[NODE] - found[TIP]
    return None if math.isnan(behind) else max(0.0, behind)


def publish(client: Any, environment: str, blocks: float) -> None:  # noqa: ANN401 - boto3 has no types
    """Tell it under the dimension that the alarms of the group ask for."""
    where = [{"Name": "environment", "Value": environment}]
    data = [{"MetricName": METRIC, "Dimensions": where, "Value": blocks, "Unit": "Count"}]
    client.put_metric_data(Namespace=NAMESPACE, MetricData=data)


def read(address: str, authority: str) -> str:
    """Return what sync tells of itself; raises OSError."""
    context = ssl.create_default_context(cafile=authority)
    with urllib.request.urlopen(address, timeout=SECONDS, context=context) as answer:  # noqa: S310 - https
        return str(answer.read().decode())


def main(arguments: list[str]) -> int:
    """Read and tell; 1 with one line where either fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("metrics", "authority", "region", "environment"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args(arguments)
    try:
        blocks = lag(read(given.metrics, given.authority))
    except OSError as error:
        sys.stderr.write(f"lag: {given.metrics}: {error}\n")
        return 1
    if blocks is None:
        return 0
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - ships no types; a standby's run needs none
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415 - as above
    from botocore.exceptions import (  # type: ignore[import-untyped]  # noqa: PLC0415 - as above
        BotoCoreError,
        ClientError,
    )

    limits = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 2})
    try:
        publish(boto3.client("cloudwatch", region_name=given.region, config=limits), given.environment, blocks)
    except (BotoCoreError, ClientError) as error:
        sys.stderr.write(f"lag: CloudWatch: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
