"""The page's routes, with nothing behind them: what is taken, what is refused, what is never shown."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient

from runbooks.operations import app as operations
from runbooks.operations.app import application
from runbooks.operations.deliveries import LARGEST_BYTES
from runbooks.operations.place import Place
from runbooks.operations.seen import Seen, Watch
from tests.runbooks.operations.notifications import alert, notification

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(application(Place(tmp_path / "environment.json", tmp_path)), base_url="http://127.0.0.1") as made:
        yield made


def value(client: TestClient, series: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{series} ")))


def test_a_delivery_is_on_disk_before_it_is_answered_and_is_counted_and_shown(
    client: TestClient, tmp_path: Path
) -> None:
    body = notification(alert("ApiDown"), alert("Watchdog", severity="none"))
    answer = client.post("/alerts", json=body)
    assert (answer.status_code, answer.text) == (200, "delivered\n")
    assert json.loads((tmp_path / "deliveries.jsonl").read_text())["payload"] == body
    assert value(client, 'simplicity_alerts_delivered_total{severity="critical",status="firing"}') == 1
    assert value(client, "simplicity_watchdog_last_timestamp_seconds") > 0
    assert client.get("/deliveries.json").json()[0]["payload"] == body
    assert "ApiDown is told" in client.get("/deliveries").text


def test_after_a_restart_the_watchdog_was_heard_when_it_was(client: TestClient, tmp_path: Path) -> None:
    client.post("/alerts", json=notification(alert("Watchdog", severity="none")))
    heard = value(client, "simplicity_watchdog_last_timestamp_seconds")
    again = TestClient(application(Place(tmp_path / "environment.json", tmp_path)), base_url="http://127.0.0.1")
    assert value(again, "simplicity_watchdog_last_timestamp_seconds") == pytest.approx(heard, abs=0.001)


@pytest.mark.parametrize(
    ("body", "kind", "status", "says"),
    [
        (b"{}", "application/json", 400, "version: field required"),
        (b"no json", "application/json", 400, "is no JSON"),
        (json.dumps(notification()).encode(), "text/plain", 415, "post application/json"),
        (b" " * (LARGEST_BYTES + 1), "application/json; charset=utf-8", 413, "at most"),
    ],
)
def test_what_is_no_delivery_is_answered_with_one_line_and_counted_and_not_kept(  # noqa: PLR0917 - a table's columns
    client: TestClient, tmp_path: Path, body: bytes, kind: str, status: int, says: str
) -> None:
    answer = client.post("/alerts", content=body, headers={"content-type": kind})
    assert (answer.status_code, says in answer.text, answer.text.count("\n")) == (status, True, 1)
    assert value(client, "simplicity_alert_deliveries_refused_total") == 1
    assert not list(tmp_path.iterdir())


def test_while_there_is_a_file_refuse_deliveries_are_refused_and_taken_after(
    client: TestClient, tmp_path: Path
) -> None:
    (tmp_path / "refuse").touch()
    refused = client.post("/alerts", json=notification())
    assert (refused.status_code, "remove it" in refused.text) == (503, True)
    (tmp_path / "refuse").unlink()
    assert client.post("/alerts", json=notification()).status_code == 200
    assert value(client, "simplicity_alert_deliveries_refused_total") == 1


def test_a_delivery_that_cannot_be_kept_is_not_said_to_be(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "deliveries.jsonl").mkdir()
    answer = client.post("/alerts", json=notification())
    assert (answer.status_code, "cannot be kept" in answer.text) == (503, True)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/deliveries", "/runbooks", "/dashboards/api", "/health", "/metrics"])
def test_everything_else_only_reads(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 405


PATHS = ("/", "/deliveries", "/runbooks", "/runbooks/restart-service", "/dashboards", "/dashboards/api", "/nothing")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_a_policy_that_admits_only_what_is_ours(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_a_name_that_others_made_resolve_to_this_machine_reads_nothing(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/", headers={"host": "attacker.example.com"}).status_code == 400
    assert client.post("/alerts", json=notification(), headers={"host": "attacker.example.com"}).status_code == 400
    assert client.get("/health", headers={"host": "localhost:8090"}).status_code == 200
    everywhere = Place(tmp_path / "environment.json", tmp_path, host="0.0.0.0")  # noqa: S104 # nosec B104 - is asked for
    assert TestClient(application(everywhere)).get("/health").status_code == 200


def test_what_was_delivered_is_shown_and_is_no_markup(client: TestClient) -> None:
    client.post("/alerts", json=notification(alert(HOSTILE), receiver=HOSTILE))
    page = client.get("/deliveries").text
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=") >= 3


def test_a_large_payload_is_shown_in_part_and_is_whole_for_machines(client: TestClient) -> None:
    body = notification(*(alert(n=str(n)) for n in range(60)))
    client.post("/alerts", json=body)
    assert "/deliveries.json has all of it" in client.get("/deliveries").text
    assert client.get("/deliveries.json?count=1").json()[0]["payload"] == body
    assert client.get("/deliveries.json?count=0").status_code == 422


def test_without_an_environment_the_page_is_there_and_says_so(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "no environment here; `simplicity up` makes the local one" in page.text
    assert "alerts are not known" in page.text
    assert client.get("/dashboards/api").status_code == 503
    assert client.get("/dashboards/api.png").status_code == 503


def test_a_runbook_is_shown_as_a_page_and_an_alerts_name_leads_to_its_answer(client: TestClient) -> None:
    page = client.get("/runbooks/restart-service").text
    assert "<h1>Restart a service of the local envelope</h1>" in page
    assert "simplicity runbook run restart-service" in page
    assert "Generated from" not in page, "that is for those who read the file"
    assert "<table>" in page
    assert client.get("/runbooks/restart-service.md").status_code == 200
    led = client.get("/runbooks/ApiAvailabilityBurn", follow_redirects=False)
    assert (led.status_code, led.headers["location"]) == (307, "/runbooks/answer-api-errors")
    assert '<a href="/runbooks/restart-service">' in client.get("/runbooks").text


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/runbooks/nothing", 404, "there is no runbook"),
        (f"/runbooks/{HOSTILE}", 404, "there is no runbook"),
        ("/dashboards/nothing", 404, "there is no dashboard"),
        ("/dashboards/nothing.png", 404, "there is no dashboard"),
        ("/dashboards/api?from=soon", 400, "is no time"),
        ("/dashboards/api?from=%3Cimg%3E", 400, "is no time"),
        (f"/dashboards/api?from={'9' * 100}", 422, ""),
        ("/runbooks/..%2f..%2fpyproject.toml", 404, ""),
    ],
)
def test_what_there_is_not_is_said_and_what_was_asked_is_no_markup(
    client: TestClient, path: str, status: int, says: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, says in answer.text) == (status, True)
    assert "<img" not in answer.text


def test_all_dashboards_are_listed(client: TestClient) -> None:
    page = client.get("/dashboards").text
    for uid in ("overview", "api", "slo"):
        assert f'href="/dashboards/{uid}"' in page


def test_a_live_page_keeps_itself_up_to_date_with_and_without_scripts(client: TestClient) -> None:
    page = client.get("/").text
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in page
    assert page.count("<script>") == 1
    assert "<script>" not in client.get("/runbooks/restart-service").text
    assert client.get("/favicon.ico").status_code == 204


TOKEN = "0123456789abcdef-of-a-test"
BEYOND = "192.0.2.7"


def listening(tmp_path: Path, host: str, token: str | None = None) -> TestClient:
    file = None if token is None else tmp_path / "token"
    if file is not None and token is not None:
        file.write_text(f"{token}\n")
    return TestClient(application(Place(tmp_path / "environment.json", tmp_path, host, file)), f"http://{BEYOND}")


def posted(client: TestClient, authorization: str | None = None) -> tuple[int, str]:
    headers = {} if authorization is None else {b"authorization": authorization.encode("latin-1")}
    answer = client.post("/alerts", json=notification(), headers=headers)
    assert answer.text.count("\n") == 1
    return answer.status_code, answer.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", BEYOND])  # noqa: S104 # nosec B104 - what is asked for
def test_beyond_this_machine_nobody_delivers_without_a_token(tmp_path: Path, host: str) -> None:
    client = listening(tmp_path, host)
    for authorization in (None, f"Bearer {TOKEN}"):
        status, said = posted(client, authorization)
        assert (status, "start the page with --token-file FILE" in said) == (403, True)
    assert value(client, "simplicity_alert_deliveries_refused_total") == 2
    assert client.get("/deliveries.json").json() == []


def test_with_a_token_whoever_shows_it_delivers_and_nobody_else(tmp_path: Path) -> None:
    client = listening(tmp_path, BEYOND, TOKEN)
    for wrong in (None, "", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xe9"):
        status, said = posted(client, wrong)
        assert (status, TOKEN in said) == (401, False)
    assert posted(client, f"Bearer {TOKEN}") == (200, "delivered\n")
    assert posted(client, f"bearer {TOKEN}") == (200, "delivered\n"), "a scheme's case is free"


def test_a_token_is_changed_by_changing_its_file_and_one_that_is_gone_has_deliveries_tried_again(
    tmp_path: Path,
) -> None:
    client = listening(tmp_path, BEYOND, TOKEN)
    (tmp_path / "token").write_text(TOKEN[::-1])
    assert posted(client, f"Bearer {TOKEN}")[0] == 401
    assert posted(client, f"Bearer {TOKEN[::-1]}")[0] == 200
    (tmp_path / "token").write_text("short")
    assert posted(client, "Bearer short")[0] == 503
    (tmp_path / "token").unlink()
    assert posted(client, f"Bearer {TOKEN}")[0] == 503


def test_on_this_machine_a_token_that_is_given_is_asked_for_too(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    place = Place(tmp_path / "environment.json", tmp_path, "127.0.0.1", tmp_path / "token")
    assert posted(TestClient(application(place), "http://127.0.0.1"))[0] == 401


@pytest.mark.parametrize(
    ("mode", "dest", "status"),
    [("no-cors", "image", 403), ("navigate", "iframe", 403), ("cors", "empty", 403), ("navigate", "document", 503)],
)
def test_another_sites_page_has_no_pictures_drawn_and_its_links_are_followed(
    client: TestClient, mode: str, dest: str, status: int
) -> None:
    for path in ("/dashboards/api.png", "/dashboards/api"):
        of = {"sec-fetch-site": "cross-site", "sec-fetch-mode": mode, "sec-fetch-dest": dest}
        assert client.get(path, headers=of).status_code == status
        assert client.get(path, headers=of | {"sec-fetch-site": "same-origin"}).status_code == 503


class Drawing:
    """Stands in for asking for a dashboard's data, and takes as long as a test wants."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self, *_: object) -> Response:
        self.begun.release()
        assert self.go_on.wait(60)
        return Response("drawn")


@pytest.mark.parametrize(("path", "at_once", "waiting"), [("/dashboards/api.png", 1, 2), ("/dashboards/api", 3, 3)])
def test_who_comes_when_enough_wait_for_pictures_is_told_at_once_and_deliveries_go_on(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, at_once: int, waiting: int
) -> None:
    drawing = Drawing()
    monkeypatch.setattr(operations, "_picture", drawing)
    # More than there are threads for pages: those that wait must not be all of them.
    with ThreadPoolExecutor(60) as people:
        try:
            asked = [people.submit(client.get, path) for _ in range(60)]
            for _ in range(at_once):
                assert drawing.begun.acquire(timeout=30)
            told = as_completed(asked, timeout=30)
            busy = [next(told).result() for _ in range(60 - at_once - waiting)]
            assert {answer.status_code for answer in busy} == {503}
            assert "other pictures are being drawn" in busy[0].text
            assert posted(client) == (200, "delivered\n")
            assert client.get("/deliveries").status_code == 200
        finally:
            drawing.go_on.set()
        rest = [answer.result() for answer in told]
    assert [answer.text for answer in rest].count("drawn") >= at_once
    assert client.get(path).text == "drawn", "all slots are free again"


def test_deliveries_are_taken_while_all_threads_of_pages_wait(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, begun = threading.Event(), threading.Semaphore(0)

    def look(_: Watch) -> Seen:
        begun.release()
        assert waits.wait(60)
        return Seen(0.0, "here", None, None, None, None)

    monkeypatch.setattr(Watch, "look", look)
    with ThreadPoolExecutor(61) as people:
        try:
            pages = [people.submit(client.get, "/") for _ in range(60)]
            for _ in range(40):
                assert begun.acquire(timeout=30)
            assert people.submit(posted, client).result(20) == (200, "delivered\n")
            assert value(client, 'simplicity_alerts_delivered_total{severity="critical",status="firing"}') == 1
            assert client.get("/health").is_success
        finally:
            waits.set()
        assert all(page.result().is_success for page in pages)


def test_files_that_cannot_be_read_leave_the_page_there(tmp_path: Path) -> None:
    (tmp_path / "deliveries.jsonl").mkdir()
    client = TestClient(application(Place(tmp_path / "environment.json", tmp_path)), "http://127.0.0.1")
    assert client.get("/").status_code == 200
    assert "mend the disk" in client.get("/deliveries").text
    assert client.get("/deliveries.json").status_code == 503


def test_while_deliveries_are_refused_the_first_line_says_so(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "refuse").touch()
    assert re.search(r'class="headline critical"[^>]*>[^<]*deliveries of alerts are refused', client.get("/").text)
