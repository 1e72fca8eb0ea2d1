"""Alerts of hosts and processes: what they run out of, and clocks."""

from __future__ import annotations

from alerts.model import Alert, Group, Severity

LOAD = (
    Alert(
        name="HighCpu",
        severity=Severity.WARNING,
        team="platform",
        expr='1 - avg by (cluster, instance) (rate(node_cpu_seconds_total{mode="idle"}[2m])) > 0.8',
        hold="5m",
        reason="Above 80 % requests begin to queue for the processor; five minutes are no backup and no restart.",
        summary=(
            "The processors of {{ $labels.instance }} in {{ $labels.cluster }} are {{ $value | humanizePercentage }} "
            "busy"
        ),
        description="Whoever is served by this host waits longer, the more the nearer it comes to 100 %.",
        runbook="answer-host-pressure",
        dashboard="hosts",
    ),
    Alert(
        name="HighMemory",
        severity=Severity.WARNING,
        team="platform",
        expr="1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > 0.85",
        hold="5m",
        reason="What the kernel can give back at once counts as free. Above 85 % the cache of files gets too small.",
        summary=(
            "{{ $value | humanizePercentage }} of the memory of {{ $labels.instance }} in {{ $labels.cluster }} are in "
            "use"
        ),
        description="The database reads from the disk what it had in memory; in the end the kernel kills a process.",
        runbook="answer-host-pressure",
        dashboard="hosts",
    ),
    Alert(
        name="FileHandlesNearLimit",
        severity=Severity.WARNING,
        team="platform",
        expr="process_open_fds / process_max_fds > 0.8",
        hold="5m",
        reason="By process, as that limit is the one that is met: every connection and every open stream is a handle.",
        summary=(
            "{{ $labels.instance }} ({{ $labels.job }}) in {{ $labels.cluster }} has {{ $value | humanizePercentage }} "
            "of its file handles open"
        ),
        description="New clients of this process once none is left: it cannot accept their connections.",
        runbook="answer-host-pressure",
        dashboard="hosts",
    ),
)

# What is mounted read-only is as full as it will ever be.
DISKS = (
    Alert(
        name="DiskFull",
        severity=Severity.CRITICAL,
        team="platform",
        expr="""
            1 - node_filesystem_avail_bytes / node_filesystem_size_bytes > 0.9
            and node_filesystem_readonly == 0
        """,
        hold="5m",
        reason=(
            "Above 90 % file systems slow down, and a base backup or a large sort may take the rest within minutes. "
            "What is reserved for root counts as taken."
        ),
        summary=(
            "{{ $labels.mountpoint }} of {{ $labels.instance }} in {{ $labels.cluster }} is {{ $value | "
            "humanizePercentage }} full"
        ),
        description="Everyone once it is full: a database that cannot write its WAL stops.",
        runbook="answer-disk-full",
        dashboard="hosts",
        absent='up{job="node"}',
    ),
    Alert(
        name="DiskWillFill",
        severity=Severity.WARNING,
        team="platform",
        expr="""
            node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.5
            and predict_linear(node_filesystem_avail_bytes[6h], <1d>) < 0
        """,
        hold="1h",
        reason=(
            "A day ahead leaves a working day to act. Six hours and one more of holding out are no backup that comes "
            "and goes; with half of it free even a restore fits."
        ),
        summary=(
            "{{ $labels.mountpoint }} of {{ $labels.instance }} in {{ $labels.cluster }} has {{ $value | "
            "humanizePercentage }} left and is about to run full"
        ),
        description="Nobody yet; as it goes on, everyone: a database that cannot write its WAL stops.",
        runbook="answer-disk-full",
        dashboard="hosts",
    ),
)

CLOCKS = (
    Alert(
        name="ClockWrong",
        severity=Severity.WARNING,
        team="platform",
        expr="""
            abs(process_clock_seconds - timestamp(process_clock_seconds)) > 5
            or abs(node_time_seconds - timestamp(node_time_seconds)) > 5
        """,
        hold="2m",
        reason=(
            "Hosts agree within milliseconds, and a scrape takes less than two seconds: five are a clock that nobody "
            "sets any more. Of hosts and of our processes, measured against Prometheus's own."
        ),
        summary="The clock of {{ $labels.instance }} in {{ $labels.cluster }} is {{ $value | humanizeDuration }} off",
        description="Tokens are refused or live too long, limits and ages are counted wrongly, logs are out of order.",
        runbook="answer-clock-wrong",
        dashboard="hosts",
    ),
)

GROUP = Group(name="hosts", alerts=LOAD + DISKS + CLOCKS)
