"""What was delivered is kept: on disk, bounded, and whatever a crash left of it."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from runbooks.operations import deliveries
from runbooks.operations.deliveries import Deliveries, Delivery, MalformedError, parsed
from runbooks.operations.metrics import Metrics
from tests.runbooks.operations.notifications import alert, notification

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)


def delivery(n: int = 0, name: str = "ApiDown") -> Delivery:
    return parsed(json.dumps(notification(alert(name, n=str(n)))).encode(), AT + timedelta(seconds=n))


def numbers(found: list[Delivery]) -> list[int]:
    return [int(each.notification.alerts[0].labels["n"]) for each in found]


def test_deliveries_outlive_the_process_and_come_back_newest_first(tmp_path: Path) -> None:
    for n in range(5):
        Deliveries(tmp_path).append(delivery(n))
    found = Deliveries(tmp_path).newest(3)
    assert numbers(found) == [4, 3, 2]
    assert found[0].at == AT + timedelta(seconds=4)
    assert found[0].payload["externalURL"] == "http://127.0.0.1:9093", "all that was sent is kept"
    assert (tmp_path / "deliveries.jsonl").stat().st_mode & 0o077 == 0


def test_a_line_that_a_crash_cut_off_is_left_out_and_takes_no_other_with_it(tmp_path: Path) -> None:
    kept = Deliveries(tmp_path)
    kept.append(delivery(1))
    with kept.file.open("ab") as file:
        file.write(b'{"at": "2026-11-30T08:00:0')
    kept.append(delivery(2))
    assert numbers(kept.newest(10)) == [2, 1]


def test_no_more_is_kept_than_two_files(tmp_path: Path) -> None:
    kept = Deliveries(tmp_path, file_bytes=3_000)
    for n in range(40):
        kept.append(delivery(n))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 6_000
    found = numbers(kept.newest(1_000))
    assert found[0] == 39
    assert found == list(range(39, 39 - len(found), -1)), "what is kept has no gap"


def test_the_watchdogs_last_word_is_found_after_a_restart(tmp_path: Path) -> None:
    kept = Deliveries(tmp_path)
    assert kept.recall() is None
    assert kept.last is None
    kept.append(delivery(1, "Watchdog"))
    kept.append(delivery(2))
    again = Deliveries(tmp_path)
    assert again.recall() == AT + timedelta(seconds=1)
    assert again.last == kept.last == delivery(2)


def test_the_last_delivery_is_known_without_reading_a_file(tmp_path: Path) -> None:
    kept = Deliveries(tmp_path)
    kept.append(delivery(7))
    kept.file.unlink()
    assert kept.last == delivery(7)
    kept.recall()
    assert kept.last == delivery(7), "what this process took in is newer than what a file has"


def test_lines_come_back_whole_wherever_the_pieces_end_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Deliveries(tmp_path, file_bytes=3_000)
    for n in range(10):
        kept.append(delivery(n))
    everything = kept.newest(100)
    assert len(everything) >= 6
    for size in (1, 7, 64, kept.file.stat().st_size, 1 << 20):
        monkeypatch.setattr(deliveries, "BLOCK_BYTES", size)
        assert kept.newest(100) == everything


def test_what_is_read_has_no_gap_and_nothing_twice_while_files_are_changed_over(tmp_path: Path) -> None:
    kept = Deliveries(tmp_path, file_bytes=3_000)
    kept.append(delivery(0))
    done = threading.Event()

    def write() -> None:
        for n in range(1, 200):
            kept.append(delivery(n))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not done.is_set():
            found = numbers(kept.newest(1_000))
            assert found == list(range(found[0], found[0] - len(found), -1))
    finally:
        writer.join(30)
    assert done.is_set()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "the body: "),
        (json.dumps(notification(version="5")).encode(), "version: "),
        (json.dumps(notification(status="odd")).encode(), "status: "),
        (json.dumps(notification(alerts=[{"status": "firing"}])).encode(), "alerts.0.labels: field required"),
        (json.dumps(notification(alert() | {"labels": {"a": 1}})).encode(), "alerts.0.labels.a: "),
        (json.dumps(notification(alert() | {"startsAt": "soon"})).encode(), "alerts.0.startsAt: "),
    ],
)
def test_what_is_no_delivery_is_refused_in_one_line(body: bytes, says: str) -> None:
    with pytest.raises(MalformedError) as found:
        parsed(body, AT)
    assert says in str(found.value)
    assert "\n" not in str(found.value)


def test_a_severity_that_nobody_knows_makes_no_new_series() -> None:
    metrics = Metrics()
    for n in range(3):
        body = notification(alert("A", severity=f"made up {n}"), alert("B", "resolved", severity="warning"))
        metrics.delivered(parsed(json.dumps(body).encode(), AT))
    text = metrics.text().decode()
    assert 'simplicity_alerts_delivered_total{severity="other",status="firing"} 3.0' in text
    assert 'simplicity_alerts_delivered_total{severity="warning",status="resolved"} 3.0' in text
    assert "made up" not in text
    assert "simplicity_watchdog_last_timestamp_seconds 0.0" in text
