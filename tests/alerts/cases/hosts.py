"""Cases of the alerts of hosts and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.alerts.case import Firing
from tests.alerts.series import CLUSTER, fires, fires_when_due, growing, labels, series, silent, up, vanishes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.alerts.case import Case

HOST = labels("node", "host-1")


def _of(name: str, instance: str = "host-1", **more: str) -> str:
    """Return a series of the node exporter."""
    return series(f"node_{name}", "node", instance, **more)


# --- load ------------------------------------------------------------------------------------------------------------
def _cpu(first: str, second: str) -> dict[str, str]:
    """Return how long two processors were idle, in seconds; one of them worked all the time beside."""
    return {
        _of("cpu_seconds_total", cpu="0", mode="idle"): first,
        _of("cpu_seconds_total", cpu="1", mode="idle"): second,
        _of("cpu_seconds_total", cpu="1", mode="user"): growing((60, 60)),
        _of("cpu_seconds_total", "host-2", cpu="0", mode="idle"): growing((60, 60)),
    }


def _busy(share: str) -> Firing:
    text = f"The processors of host-1 in main are {share} busy"
    return Firing(summary=text, labels={"cluster": CLUSTER, "instance": "host-1"})


def _high_cpu() -> tuple[Case, ...]:
    name, ending = "HighCpu", growing((20, 0), (40, 15))
    by_turns = growing(*(((1, 0), (1, 18)) * 20))
    return (
        *fires_when_due(
            name, "81 %", _cpu(growing((4, 60), (40, 10.8)), growing((4, 60), (40, 12))), _busy("81%"), due="11m"
        ),
        *silent(name, "80 %", _cpu(growing((40, 12)), growing((40, 12))), at="20m"),
        *fires(name, "85 %, by turns 70 and 100", _cpu(by_turns, by_turns), _busy("85%"), at="20m"),
        *silent(name, "75 % since two minutes", _cpu(ending, ending), at="22m"),
    )


def _memory(available: str) -> dict[str, str]:
    return {_of("memory_MemAvailable_bytes"): available, _of("memory_MemTotal_bytes"): "100x20"}


def _high_memory() -> tuple[Case, ...]:
    name, text = "HighMemory", "86% of the memory of host-1 in main are in use"
    return (
        *fires_when_due(name, "86 %", _memory("50x2 14x10"), Firing(summary=text, labels=HOST), due="8m"),
        *silent(name, "85 %", _memory("15x20"), at="20m"),
    )


def _handles(opened: str) -> dict[str, str]:
    return {
        series("process_open_fds", "api", "api-1"): opened,
        series("process_max_fds", "api", "api-1"): "1000x20",
        series("process_open_fds", "api", "api-2"): "50x20",
        series("process_max_fds", "api", "api-2"): "1000x20",
    }


def _near_limit() -> tuple[Case, ...]:
    name, text = "FileHandlesNearLimit", "api-1 (api) in main has 85% of its file handles open"
    firing = Firing(summary=text, labels=labels("api", "api-1"))
    return (
        *fires_when_due(name, "850 of 1000", _handles("50x2 850x10"), firing, due="8m"),
        *silent(name, "800 of 1000", _handles("800x20"), at="20m"),
    )


# --- disks -----------------------------------------------------------------------------------------------------------
DISK = {"device": "/dev/vda", "fstype": "ext4"}
DATA = labels("node", "host-1", mountpoint="/data", **DISK)


def _disk(available: str, *, size: int = 100) -> dict[str, str]:
    """Return a file system, and a full one that is mounted read-only."""
    found = {up("node", "host-1"): "1x200"}
    for place, values, readonly in (("/data", available, 0), ("/image", "0x200", 1)):
        found |= {
            _of("filesystem_avail_bytes", mountpoint=place, **DISK): values,
            _of("filesystem_size_bytes", mountpoint=place, **DISK): f"{size}x200",
            _of("filesystem_readonly", mountpoint=place, **DISK): f"{readonly}x200",
        }
    return found


def _full() -> tuple[Case, ...]:
    name = "DiskFull"
    firing = Firing(summary="/data of host-1 in main is 95% full", labels=DATA)
    gone = {up("node", "host-1"): "1x2 stale", up("api", "api-1"): "1x20"}
    return (
        *fires_when_due(name, "95 %", _disk("50x2 5x10"), firing, due="8m"),
        *silent(name, "90 %", _disk("10x20"), at="20m"),
        *vanishes(name, 'up{job="node"}', gone, due="8m", job="node"),
    )


def _left(share: str) -> Firing:
    return Firing(summary=f"/data of host-1 in main has {share} left and is about to run full", labels=DATA)


def _will_fill() -> tuple[Case, ...]:
    name = "DiskWillFill"
    # By half a percent each ten minutes from 60 % on; by a thousandth an hour, so that it is full after 30.05 hours;
    # and three hours of which the next three know nothing.
    half, slowly = _disk("60-0.5x60"), _disk("30.05-0.1666666666666667x100", size=1_000)
    paused = _disk("900-30x18 360x90", size=10_000)
    return (
        *fires_when_due(name, "half of it is free", half, _left("46.5%"), due="270m", interval="10m"),
        *fires_when_due(name, "within a day", slowly, _left("2.288%"), due="430m", interval="10m"),
        *fires(name, "it stands since three hours", paused, _left("3.6%"), at="6h", interval="10m"),
        *silent(name, "it stands since seven hours", paused, at="10h", interval="10m"),
        *silent(name, "it has been full for long", _disk("0x100"), at="10h", interval="10m"),
    )


# --- clocks ----------------------------------------------------------------------------------------------------------
def _clock(metric: str, job: str, instance: str, values: str) -> dict[str, str]:
    """Return a clock, and one of its kind that is right: these cases begin in 1970."""
    return {series(metric, job, instance): values, series(metric, job, "another"): "0+60x20"}


def _wrong_clock() -> Iterator[Case]:
    name = "ClockWrong"
    clocks = (("process_clock_seconds", "api", "api-1"), ("node_time_seconds", "node", "host-1"))
    for metric, job, instance in clocks:
        firing = Firing(summary=f"The clock of {instance} in main is 5.5s off", labels=labels(job, instance))
        fast, slow = (_clock(metric, job, instance, values) for values in ("0+60x2 185.5+60x10", "-5.5+60x20"))
        yield from fires_when_due(name, f"that of {instance} is fast", fast, firing, due="5m")
        yield from fires(name, f"that of {instance} is slow", slow, firing, at="10m")
        at_most = _clock(metric, job, instance, "5+60x20")
        yield from silent(name, f"that of {instance} is five seconds fast", at_most, at="10m")


CASES: tuple[Case, ...] = (
    *_high_cpu(),
    *_high_memory(),
    *_near_limit(),
    *_full(),
    *_will_fill(),
    *_wrong_clock(),
)
