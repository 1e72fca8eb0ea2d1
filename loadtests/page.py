"""The report as a page: the verdict first, then how it went, then where it was slow or failed."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from loadtests.charts import Chart, Limit, Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STYLE: Final = """
:root{--ink:#1b1f24;--soft:#5c6670;--rule:#d9dee3;--page:#fff;--good:#1a7f37;--bad:#c4232b;--a:#2563eb;--b:#d97706;--c:#9333ea}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa4ae;--rule:#343b43;--page:#14181c;--good:#4ac26b;
--bad:#ff6b6b;--a:#60a5fa;--b:#fbbf24;--c:#c084fc}}
body{margin:0 auto;max-width:96rem;padding:1.5rem;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.3rem 0}.soft{color:var(--soft)}
.verdict{border-left:.4rem solid;padding:.4rem .9rem;margin:1rem 0;font-size:1.25rem;font-weight:600}
.good{color:var(--good)}.bad{color:var(--bad)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(32rem,1fr));gap:1rem}
figure{margin:0;border:1px solid var(--rule);border-radius:.4rem;padding:.6rem}
figcaption{font-size:.85rem}svg{display:block;width:100%;height:auto}
svg text{fill:var(--soft);font:13px system-ui,sans-serif}
.grid{stroke:var(--rule)}.limit{stroke:var(--bad);stroke-dasharray:5 4}
.line{fill:none;stroke-width:1.6}.line-0{stroke:var(--a)}.line-1{stroke:var(--b)}.line-2{stroke:var(--c)}
.key{color:var(--soft);margin-left:.7rem;white-space:nowrap}
.key::before{content:"";display:inline-block;width:.9rem;height:.2rem;margin-right:.3rem;vertical-align:middle}
.key-0::before{background:var(--a)}.key-1::before{background:var(--b)}.key-2::before{background:var(--c)}
.key-limit::before{background:var(--bad)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left;font-family:ui-monospace,monospace;font-size:.85rem}
th{color:var(--soft);font-weight:500}
"""
_COLUMNS: Final = ("requests", "per second", "failed", "limited", "p50", "p95", "p99", "longest")


def page(report: dict[str, Any]) -> str:
    """Return the page of a report; everything that came from outside is escaped."""
    title = f"Load test: {report['shape']}, {report['users']} users"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(_about(report))}</p>',
        _verdict(report),
        *[f'<p class="bad">{escape(text)}</p>' for text in report["problems"]],
        *[f"<p>{escape(text)}</p>" for text in report["notes"]],
        _objectives(report["verdict"]["objectives"]),
        f"<h2>Second by second</h2><div class=charts>{''.join(chart.figure() for chart in charts(report))}</div>",
        _table("By route", "route", [*report["routes"], {"route": "all", **report["total"]}]),
        _table("By user", "user", report["by_user"]),
        _failures(report["failures"]),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def charts(report: dict[str, Any]) -> tuple[Chart, ...]:
    """Return the charts of a report."""
    points = report["points"]

    def line(label: str, name: str, factor: float = 1.0) -> Line:
        values = [(point["at"], None if point[name] is None else point[name] * factor) for point in points]
        return Line(label, values)

    latency = next((each for each in report["verdict"]["objectives"] if each["unit"] == "seconds"), None)
    limit = None if latency is None else Limit("objective of p95", latency["limit"] * 1000)
    return (
        Chart("Users", "", (line("run", "users"), line("to be", "target"))),
        Chart("Requests a second", "", (line("requests", "requests"),)),
        Chart("Time of answers", " ms", tuple(line(name, name, 1000) for name in ("p50", "p95", "p99")), limit),
        Chart("Failed and limited requests a second", "", (line("failed", "failed"), line("limited", "limited"))),
    )


def _about(report: dict[str, Any]) -> str:
    whom = f"{report['environment']} at {report['host']}" if report["environment"] else report["host"]
    workers = f", {report['workers']} workers" if report["workers"] else ""
    return f"{whom}, from {report['begun']}, {report['seconds']:.0f} s, seed {report['seed']}{workers}"


def _verdict(report: dict[str, Any]) -> str:
    met = report["verdict"]["met"]
    text = "All objectives were met" if met else "Objectives were missed"
    text = "Not judged: what was counted says too little about the service" if report["problems"] else text
    return f'<p class="verdict {"good" if met else "bad"}">{text}</p>'


def _objectives(objectives: Sequence[dict[str, Any]]) -> str:
    rows = [
        f'<p class="{"good" if each["met"] else "bad"}">{"✓" if each["met"] else "✗"} '
        f"<b>{escape(each['title'])}</b>: {escape(each['sentence'])}</p>"
        for each in objectives
    ]
    return "".join(rows)


def _table(title: str, first: str, rows: Sequence[dict[str, Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in (first, *_COLUMNS))
    return _whole_table(title, head, (_cells(str(row[first]), row) for row in rows))


def _cells(name: str, row: dict[str, Any]) -> list[str]:
    numbers = [f"{row['requests']}", f"{row['per_second']:.1f}", f"{row['failed']}", f"{row['limited']}"]
    times = ["-" if row[key] is None else f"{1000 * row[key]:.4g} ms" for key in ("p50", "p95", "p99", "longest")]
    return [name, *numbers, *times]


def _failures(failures: Sequence[dict[str, Any]]) -> str:
    if not failures:
        return ""
    head = "<th>route</th><th>what was wrong</th><th>times</th>"
    rows = ([each["route"] or "-", each["reason"], str(each["count"])] for each in failures)
    return _whole_table("What failed", head, rows)


def _whole_table(title: str, head: str, rows: Iterable[Sequence[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f"<h2>{escape(title)}</h2><div class=wide><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )
