"""What a writer says of the time in which nothing was acknowledged."""

from __future__ import annotations

import json
import queue

from runbooks.infrastructure.writing import Pause, Write, Writer, pause


def _write(began: float, ended: float, key: str = "k") -> Write:
    return Write(began=began, ended=ended, id=key, error="" if key else "StoreUnavailableError")


def test_the_pause_is_the_longest_time_between_two_acknowledgements() -> None:
    writes = [_write(0, 1), _write(1, 1.1), _write(1.1, 2, ""), _write(2, 4.6), _write(4.6, 4.7)]
    assert pause(writes) == Pause(acknowledged=4, failed=1, seconds=3.5)
    assert pause([]) == Pause(acknowledged=0, failed=0, seconds=0.0)


def test_a_writer_waits_for_acknowledgements_that_began_after_a_moment() -> None:
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    writer = Writer(lines)
    for began, key in ((1.0, "a"), (2.0, ""), (3.0, "b")):
        lines.put(json.dumps({"began": began, "ended": began + 0.1, "id": key, "error": ""}))
    lines.put("Running as unit run-7.service")
    assert writer.until(2, within=1)
    assert not writer.until(2, within=0, after=2.5)
    writer.listen(0.05)
    assert writer.said == ["Running as unit run-7.service"]
