"""The hosts: processor, memory, disks, clock, and who takes them."""

from __future__ import annotations

from dashboards.model import Dashboard, Panel, Row, Unit
from dashboards.writing import above, one

# What can be written to: an image is always full.
DISKS = 'node_filesystem_readonly{cluster="$cluster"} == 0'

HOST = Row(
    title="Host",
    panels=(
        Panel(
            title="Processor",
            description="The share of all cores that is busy. The row below shows whose work it is.",
            unit=Unit.RATIO,
            queries=one(
                "1 - avg by (instance)"
                ' (rate(node_cpu_seconds_total{cluster="$cluster", mode="idle"}[$__rate_interval]))',
                "{{instance}}",
            ),
            witness="cpu-hog",
            lines=(above(0.8, "HighCpu"),),
        ),
        Panel(
            title="Memory",
            description="The share of memory that programs have taken; caches count as free.",
            unit=Unit.RATIO,
            queries=one(
                'max by (instance) (1 - node_memory_MemAvailable_bytes{cluster="$cluster"}'
                ' / node_memory_MemTotal_bytes{cluster="$cluster"})',
                "{{instance}}",
            ),
            witness="memory-hog",
            lines=(above(0.85, "HighMemory"),),
        ),
        Panel(
            title="Clock",
            description="How far the clock of a process is from that of Prometheus. Tokens expire too early or too late"
            " by as much.",
            unit=Unit.SECONDS,
            queries=one(
                'max by (instance) (abs(process_clock_seconds{cluster="$cluster"}'
                ' - timestamp(process_clock_seconds{cluster="$cluster"})))',
                "{{instance}}",
            ),
            witness="wrong-clock",
            lines=(above(5, "ClockWrong"),),
        ),
    ),
)

STORAGE = Row(
    title="Disks",
    panels=(
        Panel(
            title="Disk in use",
            description="The share of a file system that is in use. A full one stops the database.",
            unit=Unit.RATIO,
            queries=one(
                'max by (instance, mountpoint) (1 - node_filesystem_avail_bytes{cluster="$cluster"}'
                f' / node_filesystem_size_bytes{{cluster="$cluster"}} and {DISKS})',
                "{{instance}} {{mountpoint}}",
            ),
            witness="disk-full",
            width=12,
            lines=(above(0.9, "DiskFull", "critical"),),
        ),
        Panel(
            title="Disk filling",
            description="Bytes a second by which a file system fills; below 0 something was deleted.",
            unit=Unit.BYTES_PER_SECOND,
            queries=one(
                'max by (instance, mountpoint) (-deriv(node_filesystem_avail_bytes{cluster="$cluster"}'
                f"[$__rate_interval]) and {DISKS})",
                "{{instance}} {{mountpoint}}",
            ),
            witness="disk-full",
            width=12,
        ),
    ),
)

PROCESSES = Row(
    title="Processes",
    panels=(
        Panel(
            title="Processor time by process",
            description="Seconds of processor time a second; 1 is a core.",
            unit=Unit.RATIO,
            queries=one(
                'sum by (instance) (rate(process_cpu_seconds_total{cluster="$cluster"}[$__rate_interval]))',
                "{{instance}}",
            ),
            witness="load",
            width=12,
            stacked=True,
        ),
        Panel(
            title="File handles",
            description="The share of the files and connections that a process may have open. At its end no client"
            " gets in.",
            unit=Unit.RATIO,
            queries=one(
                'max by (instance) (process_open_fds{cluster="$cluster"} / process_max_fds{cluster="$cluster"})',
                "{{instance}}",
            ),
            witness="idle-clients",
            width=12,
            lines=(above(0.8, "FileHandlesNearLimit"),),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="hosts",
    title="Hosts",
    description="Processor, memory, disks and clock, and the processes that take them.",
    rows=(HOST, STORAGE, PROCESSES),
)
