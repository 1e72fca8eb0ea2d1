"""Which alert hides which: an effect is not told while its cause is, so that one fault is one message.

A cause never hides what is more severe than itself, and everything holds within one cluster only.
"""

from __future__ import annotations

from dataclasses import dataclass

TIERS = ("1", "2", "3", "4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibition:
    """While one of `causes` fires, none of `effects` is told where the labels of `equal` are the same on both.

    `cause` and `effect` are further matchers. Two labels that are both missing are the same to Alertmanager, so where
    one may be missing, a matcher has to ask for it.
    """

    reason: str
    causes: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    cause: tuple[str, ...] = ()
    effect: tuple[str, ...] = ()
    equal: tuple[str, ...] = ("cluster",)


_SLOW = ("HighResponseTime", "SlowResponses", "ApiLatencyBurn", "SqlLatencyBurn")
_NOT_INDEXING = ("IndexerNotAdvancing", "IndexerLagging", "IndexingFreshnessBurn")

FAULTS: tuple[Inhibition, ...] = (
    Inhibition(
        reason="no request is answered at all: single processes, errors and times say nothing more",
        causes=("NoApiInstance",),
        effects=(
            "ApiDown",
            "ApiNotReady",
            "HighErrorRate",
            "HighResponseTime",
            "SlowResponses",
            "ApiAvailabilityBurn",
            "ApiLatencyBurn",
        ),
    ),
    Inhibition(
        reason="without its database the API has only what is kept, and nothing is indexed",
        causes=("DatabaseDown",),
        # An exporter that is no more says nothing of the database: pages must not hang on that.
        cause=('vanished!="true"',),
        effects=(
            "DatabaseUnreachable",
            "ConnectionPoolFilling",
            "ConnectionPoolExhausted",
            "DatabaseConnectionsNearLimit",
            "LongTransaction",
            "ApiNotReady",
            "HighErrorRate",
            "ApiAvailabilityBurn",
            *_SLOW,
            *_NOT_INDEXING,
        ),
    ),
    Inhibition(
        reason="the exporter of a database that hangs does not answer either",
        causes=("DatabaseDown",),
        effects=("TargetDown",),
        effect=('job="postgresql"',),
    ),
    Inhibition(
        reason="the cache's alert speaks for its exporter, too",
        causes=("CacheDown",),
        effects=("TargetDown",),
        effect=('job="valkey"',),
    ),
    Inhibition(
        reason="without a node there are no blocks to index",
        causes=("BitcoinNodeDown",),
        effects=("BitcoinNodeStuck", *_NOT_INDEXING),
    ),
    Inhibition(
        reason="calls of a node that is down are slow, too",
        causes=("BitcoinNodeDown",),
        effects=("RemoteCallsSlow",),
        effect=('remote="bitcoin_node"',),
    ),
    Inhibition(
        reason="without a writer nothing is indexed",
        causes=("NoWriter",),
        effects=("IndexerDown", *_NOT_INDEXING),
    ),
    Inhibition(
        reason="an index that stands still falls behind",
        causes=("IndexerNotAdvancing",),
        effects=("IndexerLagging", "IndexingFreshnessBurn"),
    ),
    Inhibition(
        reason="without Redis each process limits by itself, and calls of it are slow",
        causes=("CacheDown",),
        effects=("RateLimiterDegraded",),
    ),
    Inhibition(
        reason="calls of a cache that is down are slow, too",
        causes=("CacheDown",),
        effects=("RemoteCallsSlow",),
        effect=('remote="redis"',),
    ),
    Inhibition(
        reason="the pool is full: that it fills is told already",
        causes=("ConnectionPoolExhausted",),
        effects=("ConnectionPoolFilling",),
        equal=("cluster", "instance", "pool"),
    ),
    Inhibition(
        reason="the same flood, counted at a lower mark",
        causes=("AuthenticationFailures",),
        effects=("FailedLogins",),
    ),
    Inhibition(
        reason="the same answers, measured at a lower mark",
        causes=("HighResponseTime",),
        effects=("SlowResponses", "ApiLatencyBurn"),
    ),
    Inhibition(
        reason="the same errors, counted over longer",
        causes=("HighErrorRate",),
        effects=("ApiAvailabilityBurn",),
    ),
    Inhibition(
        reason="the same age, counted over longer",
        causes=("BackupTooOld",),
        effects=("BackupFreshnessBurn",),
    ),
    Inhibition(
        reason="a reorganisation past what can be undone is also a deep one",
        causes=("ReorgTooDeep",),
        effects=("DeepReorg",),
    ),
    Inhibition(
        reason="the disk is full: that it will be is no news",
        causes=("DiskFull",),
        effects=("DiskWillFill",),
        equal=("cluster", "instance", "mountpoint"),
    ),
    Inhibition(
        reason="WAL cannot be written to a repository that does not answer",
        causes=("BackupRepositoryAway",),
        effects=("WalArchivingFailing",),
    ),
    Inhibition(
        reason=(
            "a host that is down takes its services with it; only warnings are hidden, since an exporter may also die "
            "alone, and a page must not hang on that"
        ),
        causes=("TargetDown",),
        cause=('job="node"', 'host=~".+"'),
        effect=('job!="node"', 'host=~".+"', 'severity="warning"'),
        equal=("cluster", "host"),
    ),
)
BURNS: tuple[Inhibition, ...] = tuple(
    Inhibition(
        reason="a budget that burns fast also burns slowly",
        cause=(f'tier="{tier}"', 'slo=~".+"'),
        effect=(f'tier=~"{"|".join(TIERS[n + 1 :])}"', 'slo=~".+"'),
        equal=("cluster", "slo"),
    )
    for n, tier in enumerate(TIERS[:-1])
)
INHIBITIONS = (*FAULTS, *BURNS)


def matchers(names: tuple[str, ...], further: tuple[str, ...]) -> list[str]:
    """Return Alertmanager's matchers for alerts of these names, any name if there are none."""
    one = () if not names else (f'alertname="{names[0]}"',) if len(names) == 1 else (f'alertname=~"{"|".join(names)}"',)
    return [*one, *further]
