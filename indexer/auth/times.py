"""Times as people write and read them; inside they are seconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from indexer.settings import ConfigurationError

LONGEST = 36_500 * 86_400  # seconds: a hundred years

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_FORM = re.compile(r"([0-9]{1,10})([smhd])")
_LAST = 253_402_300_799  # the last second of the year 9999, beyond which datetime has no word


def moment(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(int(min(max(seconds, 0), _LAST)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(option: str, text: str) -> int:
    """Read `90d`, `24h`, `15m` or `60s` as seconds. Raises ConfigurationError for anything else."""
    match = _FORM.fullmatch(text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else LONGEST + 1
    if seconds > LONGEST:
        raise ConfigurationError(f"{option} {text}: must look like 90d, 24h, 15m or 60s, a hundred years at most")
    return seconds
