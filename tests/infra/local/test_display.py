from __future__ import annotations

import json
from io import StringIO

import pytest
from rich.console import Console

from infra.local.display import Progress, as_json, show_picture
from infra.local.state import Overall, Picture, Row, Tip

ROWS = (
    Row("api", "running", 17, "http://127.0.0.1:8083", "answers", "do this"),
    Row("sync", "backoff", 0, "http://127.0.0.1:9108/metrics", "Exited [too] quickly", "`simplicity logs sync` tells"),
)


@pytest.fixture
def screen() -> StringIO:
    return StringIO()


def console(screen: StringIO, *, terminal: bool = False) -> Console:
    return Console(file=screen, force_terminal=terminal, width=100, color_system=None)


def tell(progress: Progress) -> None:
    progress.note("preparing")
    progress.waiting("api", "starting")
    progress.waiting("sync", "reads [its] index")
    progress.ready("api", 1.25, "answers")
    progress.failed("sync", "not ready [yet]")


def test_in_a_file_progress_is_plain_lines_of_what_is_settled(screen: StringIO) -> None:
    with Progress(console(screen)) as progress:
        tell(progress)
    lines = screen.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["preparing", "ready", "failed"]
    assert lines[1].split() == ["ready", "api", "1.2", "s", "answers"]
    assert lines[2].endswith("not ready [yet]"), "what a component says is no markup"


def test_on_a_terminal_a_live_line_shows_what_is_waited_for(screen: StringIO) -> None:
    with Progress(console(screen, terminal=True)) as progress:
        tell(progress)
        assert progress.status is not None
        progress.waiting("sync", "reads [its] index")
        assert "sync: reads [its] index" in console_text(progress)
        assert "api" not in console_text(progress), "who is ready is waited for no longer"
    assert "failed  sync" in screen.getvalue()


def console_text(progress: Progress) -> str:
    assert progress.status is not None
    shown = StringIO()
    Console(file=shown, width=100).print(progress.status.renderable)
    return shown.getvalue()


def test_for_a_machine_there_is_no_progress_at_all(screen: StringIO) -> None:
    with Progress(console(screen, terminal=True), quiet=True) as progress:
        tell(progress)
    assert screen.getvalue() == ""


def test_advice_is_given_only_for_what_does_not_run(screen: StringIO) -> None:
    picture = Picture(Overall.WRONG, ROWS, Tip(250, 251, 0, "ab" * 32), "http://127.0.0.1:8083")
    show_picture(console(screen), picture)
    shown = screen.getvalue()
    assert "sync: Exited [too] quickly\n  `simplicity logs sync` tells" in shown
    assert "do this" not in shown
    assert "api         http://127.0.0.1:8083  (documentation: http://127.0.0.1:8083/docs)" in shown
    assert "tip height  250  (node 251; last operation in none)" in shown
    assert "ab" * 32 in shown
    assert json.loads(as_json(picture, warm=True))["warm"] is True


def test_before_the_first_block_the_tip_is_said_to_be_none(screen: StringIO) -> None:
    show_picture(console(screen), Picture(Overall.WRONG, ROWS), advice=False)
    assert "none yet: no block is indexed" in screen.getvalue()
    assert "Exited" not in screen.getvalue()
