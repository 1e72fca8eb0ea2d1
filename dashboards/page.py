"""The page docs/dashboards.md: every dashboard with its panels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dashboards.model import Unit
from dashboards.witnesses import WITNESSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboards.model import Dashboard, Panel

UNITS: Final = {
    Unit.NUMBER: "number",
    Unit.PER_SECOND: "a second",
    Unit.OPERATIONS_PER_SECOND: "a second",
    Unit.SECONDS: "seconds",
    Unit.RATIO: "share",
    Unit.BYTES_PER_SECOND: "bytes a second",
    Unit.BOOLEAN: "yes or no",
}

HEAD: Final = """\
# Dashboards

Generated from `dashboards/boards/`: `.venv/bin/python .ci/check_dashboards.py`. The files for Grafana 12 and 13 are in
`dashboards/generated/`; their data source, the environment and the address of the operations page are variables.
Without Grafana: `simplicity dashboards render NAME --from -1h --out FILE.html`, or the operations page
(`simplicity open`).

Each panel names its *witness*: the load or fault under which it was seen to move and to come back. What could not be
filled is not there.
"""


def page(boards: Sequence[Dashboard]) -> str:
    """Return the page's text."""
    contents = "\n".join(f"| [{board.title}](#{_anchor(board.title)}) | {board.description} |" for board in boards)
    index = f"| dashboard | shows |\n|---|---|\n{contents}\n"
    return "\n".join((HEAD, index, *(_board(board) for board in boards), _witnesses(boards)))


def _board(board: Dashboard) -> str:
    rows = "\n".join(_panel(panel) for panel in board.panels)
    head = "| panel | unit | lines | witness | shows |\n|---|---|---|---|---|"
    return f"## {board.title}\n`{board.uid}`\n\n{head}\n{rows}\n"


def _panel(panel: Panel) -> str:
    lines = "; ".join(f"{'below ' if line.below else ''}{line.value:g} {line.source}" for line in panel.lines)
    cells = (panel.title, UNITS[panel.unit], lines, panel.witness, panel.description)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _witnesses(boards: Sequence[Dashboard]) -> str:
    used = {panel.witness for board in boards for panel in board.panels}
    rows = "\n".join(f"| {name} | {text} |" for name, text in WITNESSES.items() if name in used)
    return f"## Witnesses\n| witness | what happens |\n|---|---|\n{rows}\n"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
