"""Dashboards as pictures."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dashboards.model import Line, Unit
from dashboards.render import RenderError, as_png, format_of, write
from dashboards.render_data import Drawn, Picture, Table
from tests.dashboards.render.pictures import HOSTILE, curve, panel, picture


def everything() -> Picture:
    limit = Line(value=0.02, severity="critical", source="objective api-latency")
    floor = Line(value=0.25, severity="warning", source="a quarter", below=True)
    many = tuple((f"Alert{n}", "3 s") for n in range(20))
    return picture(
        Drawn(panel(stacked=True), (curve("2xx", 100, 120), curve("5xx", 1, 2, missing=range(20, 40)))),
        Drawn(panel("Latency", Unit.SECONDS, lines=(limit,)), (curve(HOSTILE, 0.01, 0.03, missing=range(20, 40)),)),
        Drawn(panel("Budget", Unit.RATIO, lines=(floor,)), (curve("a", 0.1), curve("b", 0.9))),
        Drawn(panel("Gone"), (curve("a", 1, missing=range(100, 181)),)),
        Drawn(panel("Alerts", kind="table", width=16), table=Table(("alertname", "For"), many), omitted=4),
        Drawn(panel("Empty")),
        Drawn(panel("Broken"), problem=HOSTILE * 20),
        Drawn(panel("No alert", kind="table"), table=Table((), ())),
        Drawn(panel("Point", width=24), (curve("a", 1, missing=range(180)),)),
    )


def test_a_picture_is_a_png_of_1400_pixels_and_the_same_data_gives_the_same_bytes() -> None:
    drawn = as_png(everything())
    assert drawn.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", drawn[16:24])
    assert width == 1_400
    assert 1_000 < height < 3_000
    assert drawn == as_png(everything())


def test_threads_draw_at_the_same_time_and_nothing_global_of_matplotlib_is_left() -> None:
    import matplotlib as mpl  # noqa: PLC0415 - imported here, as the renderer does it

    before = dict(mpl.rcParams)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(as_png, [everything(), everything()])
    assert first == second
    assert dict(mpl.rcParams) == before


def test_a_file_that_is_no_picture_is_refused_and_one_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"no picture ends in '.pdf'; say .html or .png"):
        format_of(Path("a.pdf"))
    assert format_of(Path("a.png")) is as_png
    with pytest.raises(RenderError, match="cannot be written"):
        write(tmp_path / "nowhere/a.png", b"")
    write(tmp_path / "a.png", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
