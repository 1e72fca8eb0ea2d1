"""The page with what is behind it, as it is: alerts that fire and are delivered, and parts that are away."""

from __future__ import annotations

import re
import struct
import time
from typing import TYPE_CHECKING

from alerts.live import requested, silence, silences, unsilence
from alerts.matcher import Matcher
from tests.runbooks.operations.conftest import API_DOWN, BUSY, SECRET, WELL, Live
from tests.runbooks.operations.notifications import alert, notification
from tests.runbooks.operations.served import PAGE_SECONDS, served
from tests.runbooks.operations.stack import ALERT_SECONDS, wait

if TYPE_CHECKING:
    from pathlib import Path


def shows(live: Live, *texts: str) -> str:
    """Return the page as soon as it has all these texts."""
    found = [""]

    def there() -> bool:
        found[0] = live.page.get("/").text
        return all(text in found[0] for text in texts)

    wait(there, within=ALERT_SECONDS, what=f"{texts} on the page")
    return found[0]


def test_an_alert_that_fires_is_delivered_and_shown_with_what_to_do_until_it_is_over(live: Live) -> None:
    live.stack.say(API_DOWN)
    try:
        payload = live.page.wait_for("ApiDown", "firing")
        page = shows(live, "<h3>ApiDown</h3>", "1 critical alert")
        assert payload["alerts"][0]["labels"]["instance"] == "api-1"
        assert "api-1 does not answer &lt;script&gt;" in page
        assert "<script>alert" not in page, "labels and annotations are other people's"
        assert "Clients get errors." in page
        link = '<a href="http://127.0.0.1:8090/runbooks/answer-api-down" rel="noreferrer">What to do: the runbook</a>'
        assert link in page
        assert "javascript:" not in page.partition("<main>")[2].partition("</main>")[0]
        assert re.search(r"since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", page)
    finally:
        live.stack.say(WELL)
    live.page.wait_for("ApiDown", "resolved")
    shows(live, "No alert fires.")


def test_an_alert_that_is_silenced_says_by_whom_until_when_and_why(live: Live) -> None:
    matchers = [Matcher("alertname", "=", "HighCpu")]
    silence(live.stack.alertmanager, requested(matchers, length=10_800, comment="new <disks>", by="alex"))
    live.stack.say(BUSY)
    try:
        page = shows(live, "Silenced by alex, ends in 3.0 h: new &lt;disks&gt;")
        assert "1 warning" not in page, "nobody is told of it"
    finally:
        live.stack.say(WELL)
        for each in silences(live.stack.alertmanager):
            unsilence(live.stack.alertmanager, each.id)


def test_budgets_say_what_is_left_and_when_they_end(live: Live) -> None:
    page = shows(live, "62 % left")
    assert "Ends in 13.9 h at the rate of the last 1h." in page
    assert "11 % left" in page
    assert "No end in sight." in page
    assert '<span class="mark critical">spent</span>' in page
    assert "nothing recorded yet" in page


def test_the_heartbeat_is_heard_and_each_component_says_how_it_is_and_what_to_do(live: Live) -> None:
    live.page.wait_for("Watchdog", "firing")
    page = shows(live, "An alert that always fires is delivered each minute.")
    assert re.search(r'Heartbeat</th><td class="mark good">\d+ s ago', page)
    assert "`simplicity logs sync` tells why" in page
    assert '<td class="mark healthy">' not in page
    assert '<td class="mark good">healthy</td><td>scrapes 1 targets' in page


def test_a_receiver_that_refuses_is_tried_again_and_the_alert_arrives(live: Live) -> None:
    live.page.wait_for("Watchdog", "firing")
    refuse = live.page.directory / "refuse"
    before = float(_metric(live, "simplicity_alert_deliveries_refused_total"))
    refuse.touch()
    try:
        wait(
            lambda: float(_metric(live, "simplicity_alert_deliveries_refused_total")) > before,
            within=ALERT_SECONDS,
            what="a refusal",
        )
        heard = float(_metric(live, "simplicity_watchdog_last_timestamp_seconds"))
    finally:
        refuse.unlink()
    wait(
        lambda: float(_metric(live, "simplicity_watchdog_last_timestamp_seconds")) > heard,
        within=ALERT_SECONDS,
        what="the heartbeat after the refusals",
    )


def _metric(live: Live, name: str) -> str:
    return next(line for line in live.page.get("/metrics").text.splitlines() if line.startswith(f"{name} ")).split()[1]


def test_a_dashboard_is_shown_as_a_page_and_as_a_picture(live: Live) -> None:
    page = live.page.get("/dashboards/overview?from=-15m").text
    assert '<h3>Blocks behind the node</h3><span class="state warning">' in page
    assert 'aria-label="Blocks behind the node. blocks: now 3' in page
    assert "/dashboards/overview.png?from=-15m&amp;to=now" in page
    answer = live.page.get("/dashboards/overview.png?from=-15m")
    assert (answer.headers["content-type"], struct.unpack(">I", answer.content[16:20])[0]) == ("image/png", 1_400)


def test_no_secret_is_on_any_page_nor_in_the_log(live: Live) -> None:
    for path in ("/", "/deliveries", "/deliveries.json", "/runbooks", "/dashboards", "/dashboards/api", "/metrics"):
        assert SECRET not in live.page.get(path).text
    assert SECRET not in live.page.running.log.read_text()


def test_while_prometheus_hangs_the_page_is_there_in_time_and_says_so(live: Live) -> None:
    live.page.get("/")
    live.stack.pause("prometheus")
    try:
        for path in ("/", "/dashboards/overview", "/"):
            began = time.monotonic()
            assert live.page.get(path).status_code == 200
            assert time.monotonic() - began < PAGE_SECONDS
        shows(live, "prometheus", "not healthy")  # and soon the alerting, too: no Watchdog arrives
    finally:
        live.stack.go_on("prometheus")
    shows(live, "scrapes 1 targets")


def test_while_alertmanager_hangs_prometheus_says_what_fires_and_the_page_says_that_nobody_is_told(live: Live) -> None:
    live.stack.say(API_DOWN)
    # Only what was delivered as firing is delivered as resolved.
    live.page.wait_for("ApiDown", "firing")
    live.stack.pause("alertmanager")
    try:
        page = shows(live, "nobody is told of alerts", "<h3>ApiDown</h3>")
        assert "alerts are not known or do not travel" in page
        live.stack.pause("prometheus")
        began = time.monotonic()
        live.page.get("/")
        assert time.monotonic() - began < PAGE_SECONDS
        shows(live, "nobody knows what fires")
    finally:
        live.stack.say(WELL)
        for name in ("prometheus", "alertmanager"):
            live.stack.go_on(name)
    live.page.wait_for("ApiDown", "resolved")


def test_a_restart_forgets_nothing_that_was_delivered(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with served(home, tmp_path / "environment.json") as page:
        page.post(notification(alert("Watchdog", severity="none")))
    with served(home, tmp_path / "environment.json") as page:
        assert page.delivered()[0]["alerts"][0]["labels"]["alertname"] == "Watchdog"
        assert "not yet" not in page.get("/").text
    assert (home / "local" / "operations").stat().st_mode & 0o777 == 0o700
