"""What is worth an alert and has none yet: with the reason, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """An alert that is not there yet. `meanwhile`: what tells of it until then, as far as anything does."""

    fault: str
    condition: str
    reason: str
    meanwhile: str


_NO_FLEET = "comes with the fleet"

LATER: tuple[Later, ...] = (
    Later(
        fault="a certificate near its end",
        condition="less than 30 days left",
        reason=f"nothing here serves TLS: it {_NO_FLEET}, whose balancers do",
        meanwhile="nothing, as there is no certificate",
    ),
    Later(
        fault="no standby of the indexer",
        condition="fewer than two processes of the indexer, one of which writes",
        reason=f"one process is all that is meant to run locally: it {_NO_FLEET}",
        meanwhile="`NoWriter` and `IndexerDown`, once the writer is gone",
    ),
    Later(
        fault="replication that falls behind",
        condition="a replica is further behind than reads from it may be",
        reason=f"locally there is one server: it {_NO_FLEET}, which replicates",
        meanwhile="the API, which reads from the primary what a replica does not have yet",
    ),
    Later(
        fault="no replica fit for promotion",
        condition="no replica streams that could take over without loss",
        reason=f"as above: it {_NO_FLEET}",
        meanwhile="`DatabaseDown`, once the primary is gone",
    ),
    Later(
        fault="Patroni without a leader, or paused",
        condition="no member leads, or nobody would fail over",
        reason=f"nothing here runs Patroni: it {_NO_FLEET}",
        meanwhile="`DatabaseDown`, once no primary answers",
    ),
)
