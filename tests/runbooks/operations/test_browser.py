"""The page in a real browser: on a laptop and on a phone, with and without scripts, while things change."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from dashboards.render import as_html
from dashboards.render_data import Drawn
from tests.dashboards.render.pictures import curve, panel, picture
from tests.runbooks.operations.conftest import API_DOWN, WELL, Live
from tests.runbooks.operations.notifications import alert, notification
from tests.runbooks.operations.served import Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Dialog, Page

pytestmark = pytest.mark.proof

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATHS = ("/", "/dashboards", "/dashboards/overview", "/dashboards/api", "/runbooks/restart-service", "/deliveries")
# Above what a refresh takes: five seconds, and a page that waits for what hangs.
FRESH_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.fail(f"no browser: none of {', '.join(BROWSERS)} is in PATH; install one: apt-get install chromium")
    with sync_playwright() as playwright:
        # Its sandbox needs a user that is not root; only our own pages are opened.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


class Complaints:
    """What a page complained about: errors, refusals of its policy, dialogs that a script opened, other addresses."""

    def __init__(self, page: Page, home: str) -> None:
        self.found: list[str] = []
        page.on("console", lambda message: self.found.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.found.append(str(error)))
        page.on("dialog", self._opened)
        page.on("request", lambda request: None if request.url.startswith(home) else self.found.append(request.url))

    def _opened(self, dialog: Dialog) -> None:
        self.found.append(f"dialog {dialog.message}")
        dialog.dismiss()


def is_as_wide_as_the_window(page: Page) -> bool:
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("width", "scheme"), [(1_280, "light"), (1_280, "dark"), (390, "light")])
def test_every_page_fits_the_window_and_complains_about_nothing(  # noqa: PLR0917 - a table's columns
    live: Live, browser: Browser, tmp_path: Path, path: str, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type] # is one of its words
    complaints = Complaints(page, live.page.url)
    page.goto(f"{live.page.url}{path}")
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert is_as_wide_as_the_window(page)
    assert page.locator("h1").count() == 1
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == ("rgb(17, 21, 27)" if scheme == "dark" else "rgb(246, 247, 249)"), "the style sheet is not refused"
    assert not complaints.found
    page.close()


def test_an_alert_appears_and_goes_without_the_page_being_loaded_anew_and_runs_nothing(
    live: Live, browser: Browser
) -> None:
    page = browser.new_page()
    complaints = Complaints(page, live.page.url)
    page.goto(f"{live.page.url}/")
    page.evaluate("window.mark = 'the same page'")
    live.stack.say(API_DOWN)
    try:
        page.get_by_role("heading", name="ApiDown").wait_for(timeout=FRESH_MS * 2)
        assert "critical alert" in page.get_by_role("status").inner_text()
        assert page.get_by_text("api-1 does not answer <script>alert('x')</script>").is_visible()
        page.get_by_role("link", name="What to do: the runbook").wait_for()
        assert page.title().startswith("●")
    finally:
        live.stack.say(WELL)
    page.get_by_text("No alert fires.").wait_for(timeout=FRESH_MS * 2)
    assert page.evaluate("window.mark") == "the same page"
    assert not complaints.found
    page.close()


def test_without_scripts_the_page_says_the_same_and_loads_itself_anew(live: Live, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    loads: list[str] = []
    page.on("request", lambda request: loads.append(request.url) if request.is_navigation_request() else None)
    page.goto(f"{live.page.url}/")
    assert page.get_by_role("heading", name="Firing alerts").is_visible()
    assert page.get_by_text("62 % left").is_visible()
    page.wait_for_event("framenavigated", timeout=FRESH_MS)
    assert len(loads) >= 2
    context.close()


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Served]:
    """A page with nothing behind it, to which only a test delivers."""
    with served(tmp_path / "home", tmp_path / "environment.json") as page:
        page.post(notification(alert("Watchdog", severity="none")))
        yield page


def test_what_a_person_has_opened_stays_open_and_where_it_is_while_deliveries_come_in(
    quiet: Served, browser: Browser
) -> None:
    for n in range(30):
        quiet.post(notification(alert(f"Before{n}")))
    page = browser.new_page(viewport={"width": 1_280, "height": 600})
    page.goto(f"{quiet.url}/deliveries")
    opened = page.locator("tr", has=page.get_by_text("firing: Before15")).locator("details")
    opened.locator("summary").click()
    before = opened.bounding_box()
    quiet.post(notification(alert("Newer")))
    page.get_by_text("firing: Newer").wait_for(timeout=FRESH_MS)
    after = opened.bounding_box()
    assert opened.locator("pre").is_visible()
    assert before is not None
    assert after is not None
    assert after["y"] == pytest.approx(before["y"], abs=2)
    page.close()


def test_a_section_goes_on_while_a_link_in_it_has_the_focus_and_the_focus_stays(
    quiet: Served, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(f"{quiet.url}/")
    row = page.get_by_role("row", name="Heartbeat")
    before = row.inner_text()
    page.get_by_role("link", name="What was delivered").focus()
    for _ in range(2):
        page.wait_for_function("row => !row.isConnected", arg=row.element_handle())
        assert row.inner_text() != before, "the section is as it is now"
        before = row.inner_text()
        assert page.evaluate("document.activeElement.getAttribute('href')") == "/deliveries"
    assert not page.locator("#held").is_visible()
    page.close()


def test_what_is_selected_is_held_back_and_says_since_when_until_it_is_selected_no_more(
    quiet: Served, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(f"{quiet.url}/deliveries")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('td'))")
    quiet.post(notification(alert("Newer")))
    page.locator("#held").wait_for(state="visible", timeout=FRESH_MS)
    assert re.search(r"held back since \d\d:\d\d:\d\d UTC", page.locator("#held").inner_text())
    assert page.get_by_text("firing: Newer").count() == 0
    page.evaluate("getSelection().removeAllRanges()")
    page.get_by_text("firing: Newer").wait_for(timeout=FRESH_MS)
    assert not page.locator("#held").is_visible()
    page.close()


def test_a_page_whose_server_is_gone_says_that_it_is_old(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    with served(tmp_path / "home", tmp_path / "environment.json") as gone:
        page.goto(f"{gone.url}/")
        assert not page.locator("#stale").is_visible()
    page.locator("#stale").wait_for(state="visible", timeout=FRESH_MS)
    assert page.get_by_text("Operations").first.is_visible(), "what was seen last stays"
    page.close()


@pytest.mark.parametrize("width", [1_280, 390])
def test_a_dashboard_in_a_file_is_whole_without_any_server(browser: Browser, tmp_path: Path, width: int) -> None:
    file = tmp_path / "dashboard.html"
    file.write_bytes(as_html(picture(Drawn(panel(width=24), (curve("2xx", 1, 2),)), Drawn(panel("Empty")))))
    page = browser.new_page(viewport={"width": width, "height": 900})
    complaints = Complaints(page, "file://")
    page.goto(file.as_uri())
    assert is_as_wide_as_the_window(page)
    assert page.get_by_role("img", name="Requests. 2xx: now 1 /s, between 1 /s and 2 /s.").is_visible()
    drawn = page.locator("path.curve").bounding_box()
    assert drawn is not None
    assert drawn["width"] > width * 0.6
    assert not complaints.found
    page.close()
