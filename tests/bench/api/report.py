"""The figures beside their targets, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from tests.bench.api.bench import MANY, TARGETED
from tests.bench.api.endpoints import ENDPOINTS
from tests.bench.api.faults import RECOVERY
from tests.bench.report import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from tests.bench.api.endpoints import Endpoint
    from tests.bench.task import Figures

SLOW, QUERY = 0.020, 0.100  # seconds within which 95 of 100 answers, and queries, have to be there
BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}
MILLI, MICRO = 1e3, 1e6


def lines(results: Figures) -> list[Line]:
    """Return what has a target, with whether it is met."""
    return [line for make in (_speeds, _many, _queries, _bodies, _faults) for line in make(results)]


def missed(results: Figures) -> list[Line]:
    return [line for line in lines(results) if line.met is False]


def show(results: Figures, console: Console) -> None:
    machine, data = results["machine"], results["data"]
    console.print(
        f"{machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB; Python {machine['python']};"
        f" load {machine['load']:.1f} at the start\n{data['operations']:,} operations, {data['balances']:,} balances,"
        f" {data['tickers']:,} tickers, {data['keys']:,} API keys; PostgreSQL"
        f" {', '.join(f'{name}={value}' for name, value in data['settings'].items())}",
        highlight=False,
    )
    for name, value in data["extra"].items():
        console.print(f"with {name}={value}", highlight=False)
    for table in (*_tables(results), _targets(results)):
        if table.row_count:
            console.print(table)
    for line in _wrong(results):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _tables(results: Figures) -> Iterator[Table]:
    yield _closed(results)
    yield _open(results)
    yield _query_times(results)
    for name, figures in results.get("faults", {}).items():
        yield _seconds(name, figures)


COSTS = ("server", "postgresql", "valkey", "client")


def _closed(results: Figures) -> Table:
    table = Table(title="Closed loop: as fast as answers come")
    for name in ("endpoint", "conn.", "", "per s", "p50 ms", "p95", "p99", "errors", "hits"):
        table.add_column(name, justify="left" if name in {"endpoint", ""} else "right", no_wrap=name == "endpoint")
    for name in ("server µs", "SQL µs", "Valkey µs", "client µs"):
        table.add_column(name, justify="right")
    for name in ("of bare", "by CPU", "others"):
        table.add_column(name, justify="right")
    for endpoint, found in results.get("closed", {}).items():
        for connections, ways in found.items():
            for way in ("bare", "warm", "cold"):
                if way in ways:
                    table.add_row(BY_NAME[endpoint].title, connections, way, *_row(ways[way]))
        table.add_section()
    if ceiling := results.get("ceiling"):
        table.add_row("the client by itself", str(TARGETED), "", *_row(ceiling))
    return table


def _row(figures: Figures) -> list[str]:
    shown = [f"{figures['rate']:,.0f}", *(f"{figures[name] * MILLI:.2f}" for name in ("p50", "p95", "p99"))]
    costs = [_cost(figures, name) for name in COSTS]
    ratios = [f"{figures[name]:.2f}" if name in figures else "" for name in ("of_bare", "of_bare_by_cpu")]
    hits = f"{figures['hits']:.0%}" if "hits" in figures else ""
    return [*shown, _errors(figures), hits, *costs, *ratios, f"{figures['elsewhere']:.0%}"]


def _cost(figures: Figures, name: str) -> str:
    """Return CPU microseconds a request."""
    if name not in figures["cpu"]:
        return ""
    return f"{figures['cpu'][name] / max(figures['requests'], 1) * MICRO:,.0f}"


def _errors(figures: Figures) -> str:
    if not figures["errors"] and not figures["idle_drops"]:
        return "0"
    kinds = [f"{count} {status}" for status, count in figures["statuses"].items() if status != "200"]
    if figures["idle_drops"]:
        kinds.append(f"{figures['idle_drops']} idle connections closed")
    return ", ".join(kinds)


def _open(results: Figures) -> Table:
    table = Table(title="Open loop: times from the moment that a request was due")
    for name in ("endpoint", "conn.", "asked/s", "requests/s", "p50 ms", "p95", "p99", "worst", "errors", "others"):
        table.add_column(name, justify="left" if name == "endpoint" else "right")
    each = [(BY_NAME[name].title, TARGETED, figures) for name, figures in results.get("open", {}).items()]
    if "many" in results:
        each.append(("all, mixed", MANY, results["many"]))
    for name, connections, figures in each:
        times = [f"{figures[time] * MILLI:.2f}" for time in ("p50", "p95", "p99", "worst")]
        rates = [f"{figures[rate]:,.0f}" for rate in ("asked", "rate")]
        table.add_row(name, str(connections), *rates, *times, _errors(figures), f"{figures['elsewhere']:.0%}")
    return table


def _query_times(results: Figures) -> Table:
    table = Table(title="Queries, by the API's own metrics")
    for name in ("query", "count", "p95 ms"):
        table.add_column(name, justify="left" if name == "query" else "right")
    for name, figures in results.get("queries", {}).items():
        table.add_row(name, f"{figures['count']:,}", f"{figures['p95'] * MILLI:.1f}")
    return table


def _seconds(name: str, figures: Figures) -> Table:
    table = Table(title=f"{name}: answers by the second, {figures['asked']:.0f} requests/s")
    for column in ("second", "", "asked before", "never asked", "health"):
        table.add_column(column)
    told = figures["seconds"]
    for before, row, after in zip([None, *told], told, [*told[1:], None], strict=False):
        if not any(_is_news(each) for each in (before, row, after)):
            continue
        kinds = [_kinds(row[group]) for group in ("warmed", "new", "probes")]
        table.add_row(str(row["second"]), "out" if row["is_out"] else "", *kinds)
    return table


def _is_news(row: Figures | None) -> bool:
    """Tell whether a second, or one beside it, is worth a line: what failed, or the edges of the outage."""
    return row is not None and any(row[group].keys() - {"fresh"} for group in ("warmed", "new", "probes"))


def _kinds(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _targets(results: Figures) -> Table:
    table = Table("", "figure", "seen", "target", "", title="Targets")
    stage = ""
    for line in lines(results):
        if line.stage != stage and stage:
            table.add_section()
        verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[line.met]
        table.add_row(line.stage if line.stage != stage else "", line.figure, line.value, line.target, verdict)
        stage = line.stage
    return table


def _speeds(results: Figures) -> Iterator[Line]:
    for name, found in results.get("closed", {}).items():
        if ways := found.get(str(TARGETED)):
            yield from _speed(BY_NAME[name], ways)
        for connections, several in found.items():
            for way, figures in several.items():
                yield from _failed(BY_NAME[name].title, way, int(connections), figures)


def _failed(stage: str, way: str, connections: int, figures: Figures) -> Iterator[Line]:
    if not figures["errors"] and not figures["idle_drops"]:
        return
    what = f"{way}, {connections} connections: errors"
    # Far more may be asked of the database than it can answer: to refuse honestly then is no fault.
    is_too_much = way == "cold" and connections > TARGETED
    if is_too_much and figures["statuses"].keys() <= {"200", "503"} and not figures["idle_drops"]:
        yield Line(stage, what, _errors(figures))
    else:
        yield Line(stage, what, _errors(figures), "none", met=False)


def _speed(endpoint: Endpoint, ways: Figures) -> Iterator[Line]:
    for way, target in (("warm", endpoint.warm), ("cold", endpoint.cold)):
        if target and way in ways:
            figures = ways[way]
            by_cpu = figures["requests"] / max(figures["cpu"]["server"], 1e-9)
            shown = f"{figures['rate']:,.0f}  ({by_cpu:,.0f} a CPU second)"
            met = figures["rate"] >= target
            yield Line(endpoint.title, f"{way}: requests/s", shown, f"≥ {target:,}", met)
    if endpoint.bare_share:
        share, by_cpu = ways["warm"]["of_bare"], ways["warm"]["of_bare_by_cpu"]
        shown = f"{share:.2f}  (by CPU {by_cpu:.2f})"
        yield Line(endpoint.title, "warm: of the bare", shown, f"≥ {endpoint.bare_share}", share >= endpoint.bare_share)


def _many(results: Figures) -> Iterator[Line]:
    if figures := results.get("many"):
        stage = f"{MANY} kept connections"
        shown = f"{figures['p95'] * MILLI:.1f} ms at {figures['asked']:.0f} requests/s"
        yield Line(stage, "p95", shown, f"< {SLOW * MILLI:.0f} ms", figures["p95"] < SLOW)
        fine = not figures["errors"] and not figures["idle_drops"]
        yield Line(stage, "errors, dropped connections", _errors(figures), "none", fine)


def _queries(results: Figures) -> Iterator[Line]:
    if queries := results.get("queries"):
        name, slowest = max(queries.items(), key=lambda item: float(item[1]["p95"]))
        shown = f"{slowest['p95'] * MILLI:.1f} ms ({name})"
        yield Line("SQL", "p95 of the slowest query", shown, f"< {QUERY * MILLI:.0f} ms", slowest["p95"] < QUERY)
        whole = results["whole_reads"]
        yield Line("SQL", "large tables read wholly", str(whole), "never", not whole)


def _bodies(results: Figures) -> Iterator[Line]:
    if bodies := results.get("bodies"):
        compared = sum(figures["compared"] for figures in bodies.values())
        wrong = sum(len(figures["differences"]) for figures in bodies.values())
        yield Line("bodies", f"{compared} compared with SQL", f"{wrong} differ", "equal", not wrong and compared > 0)


def _faults(results: Figures) -> Iterator[Line]:
    for name, figures in results.get("faults", {}).items():
        bad = {**figures["dishonest"], **({"idle drops": figures["idle_drops"]} if figures["idle_drops"] else {})}
        yield Line(name, "other than 200 or an honest 503", _kinds(bad) or "none", "none", not bad)
        if figures["outlasts_window"]:
            oldest = figures["oldest"]
            window = figures["stale_window"]
            yield Line(name, "oldest stale answer", f"{oldest} s", f"≤ {window:.0f} s", oldest <= window)
        else:
            failed = figures["warmed_failed"]
            yield Line(name, "asked before, and not answered", _kinds(failed) or "none", "none", not failed)
        seconds = figures["answers_well"]
        yield Line(name, "all answers fresh after", f"{seconds:.1f} s", f"< {RECOVERY:.0f} s", seconds < RECOVERY)
        well = figures["metrics_well"]
        shown = "never" if well is None else f"{well:.1f} s"
        yield Line(name, "metrics without trouble after", shown, f"< {RECOVERY:.0f} s", _is_soon(well))
        times = (figures[key] * MILLI for key in ("p95_before", "p95_during_warmed", "p95_during", "worst_during"))
        shown = "{:.1f}, {:.1f}, {:.1f}, {:,.0f} ms".format(*times)
        yield Line(name, "p95 before; while out: asked before, all; worst", shown)
        yield Line(name, "stale answers, the oldest", f"{figures['warmed_stale']}, {figures['oldest']} s")


def _is_soon(well: float | None) -> bool:
    return well is not None and well < RECOVERY


def _wrong(results: Figures) -> Iterator[str]:
    for figures in results.get("bodies", {}).values():
        yield from (f"body differs: {line}" for line in figures["differences"][:5])
