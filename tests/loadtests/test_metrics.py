from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from loadtests import metrics
from loadtests.answers import Outcome
from loadtests.tally import Tally

if TYPE_CHECKING:
    from pathlib import Path


def scraped(port: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


def test_what_was_counted_is_there_to_be_scraped() -> None:
    tally = Tally()
    tally.add("wallet", "/a", Outcome.OK, 0.015)
    tally.add("wallet", "/a", Outcome.OK, 0.03)
    tally.add("bot", "/b", Outcome.SERVER_ERROR, 20.0)
    with metrics.served(metrics.Exported(tally, lambda: {"wallet": 3, "bot": 1}, lambda: 7)) as port:
        found = scraped(port)
        tally.add("bot", "/b", Outcome.LIMITED, 0.001)
        again = scraped(port)
    requests = "loadtest_requests_total"
    assert found[requests, (("name", "/a"), ("outcome", "ok"), ("user", "wallet"))] == 2
    assert found[requests, (("name", "/b"), ("outcome", "server_error"), ("user", "bot"))] == 1
    assert again[requests, (("name", "/b"), ("outcome", "limited"), ("user", "bot"))] == 1
    bucket = "loadtest_request_duration_seconds_bucket"
    ends = {end: found[bucket, (("le", end), ("user", "wallet"))] for end in ("0.01", "0.02", "0.05", "+Inf")}
    assert ends == {"0.01": 0, "0.02": 1, "0.05": 2, "+Inf": 2}
    assert found[bucket, (("le", "10.0"), ("user", "bot"))] == 0
    assert found["loadtest_request_duration_seconds_count", (("user", "bot"),)] == 1
    assert round(found["loadtest_request_duration_seconds_sum", (("user", "wallet"),)], 4) == 0.045
    assert found["loadtest_users", (("user", "wallet"),)] == 3
    assert found["loadtest_target_users", ()] == 7


def test_prometheus_finds_the_test_by_a_file_with_the_environments_labels(tmp_path: Path) -> None:
    path = metrics.announce(tmp_path, 4711, {"cluster": "local", "place": "local"})
    assert json.loads(path.read_text()) == [
        {
            "targets": ["127.0.0.1:4711"],
            "labels": {"cluster": "local", "place": "local", "instance": "loadtest", "job": "loadtest"},
        }
    ]
    assert list(tmp_path.iterdir()) == [path]
    metrics.forget(tmp_path, os.getpid())
    metrics.forget(tmp_path, os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_the_files_of_tests_that_were_killed_are_taken_away_and_nobody_elses(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    for name in (f"loadtest-{gone.pid}.json", f"loadtest-{gone.pid}.new", f"loadtest-{10**30}.json"):
        (tmp_path / name).write_text("[]")
    kept = {f"loadtest-{os.getppid()}.json", "loadtest-1.json", "loadtest-by-hand.json", "other.json"}
    for name in kept:
        (tmp_path / name).write_text("[]")
    path = metrics.announce(tmp_path, 4711, {})
    assert {each.name for each in tmp_path.iterdir()} == kept | {path.name}
