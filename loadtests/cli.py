"""`simplicity loadtest`: put an environment under the load of its users, and see whether it keeps its objectives."""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from loadtests.errors import LoadtestError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alerts.slo import Slo as SloOf
    from loadtests.driver import Point
    from loadtests.plan import Plan
    from loadtests.shapes import Course
    from loadtests.target import Target

EXIT_MISSED, EXIT_USAGE, EXIT_NOT_RUN, EXIT_INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(no_args_is_help=True, help="Load tests: users as they are, objectives that decide.")

ShapeName = Annotated[str, typer.Argument(metavar="SHAPE", help="ramp, steady, spike or soak; `list` describes them.")]
Document = Annotated[
    Path | None,
    typer.Option(envvar="SIMPLICITY_ENVIRONMENT", help="The environment document; without it the local envelope's."),
]
Host = Annotated[str, typer.Option(help="The API's URL, in place of an environment: nothing shows on dashboards then.")]
Users = Annotated[int, typer.Option(help="How many users at most at a time.")]
Time = Annotated[str, typer.Option(help="How long, such as 45s, 10m or 2h; without it what the shape takes.")]
Seed = Annotated[int, typer.Option(help="Equal seeds make equal users.")]
Think = Annotated[float, typer.Option(min=0, max=100, help="A factor of the users' pauses; 0: none at all.")]
Out = Annotated[Path | None, typer.Option(help="A directory for report.html and report.json; default: a new one here.")]
KeyFile = Annotated[Path | None, typer.Option(help="API keys that users take in turn, one a line.")]
Slo = Annotated[Path | None, typer.Option(help="A file of objectives, in place of this release's.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the report as JSON; how it goes is told on standard error.")
]
Yes = Annotated[
    bool, typer.Option("--yes", help="Load what is neither local nor on this machine: its users will feel it.")
]


@app.callback()
def _root() -> None:
    """Load tests: users as they are, objectives that decide."""


@app.command()
def run(  # noqa: PLR0913 - a command's options are its arguments
    shape: ShapeName,
    *,
    users: Users = 20,
    time: Time = "",
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that share the users; 0: one does all.")] = 0,
    seed: Seed = 1,
    think: Think = 1.0,
    key_file: KeyFile = None,
    out: Out = None,
    slo: Slo = None,
    as_json: AsJson = False,
    yes: Yes = False,
    host: Host = "",
    environment: Document = None,
) -> None:
    """Run a load test: wallets, explorers and market bots that ask for what the index has, and judge the answers.

    The objectives of alerts/slo.yaml decide: API availability, API latency. Ctrl-C ends it early, with the report.

    Exit code 0: met; 1: missed; 2: a wrong option or environment; 3: it could not be run, or tells nothing (workers
    lost, many requests over a rate limit); 130: interrupted.

    Examples: simplicity loadtest run steady --users 50 --time 2m; simplicity loadtest run spike --host
    https://api.example.com --yes --key-file keys --workers 2 --json
    """
    with _told():
        target = _target(environment, host, yes=yes)
        course, objectives = _course(shape, users, time), _objectives(slo)
        plan = _plan(target, course, seed=seed, think=think, key_file=key_file)
        plan = _spread(plan, workers, ("127.0.0.1", 0)) if workers else plan
        _carry_out(plan, target, objectives, out, as_json=as_json, local_workers=True)


@app.command()
def master(  # noqa: PLR0913 - a command's options are its arguments
    shape: ShapeName,
    *,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where workers join: in a trusted network.")],
    workers: Annotated[int, typer.Option(min=1, max=1_000, help="Begin as soon as so many have joined.")],
    users: Users = 20,
    time: Time = "",
    seed: Seed = 1,
    think: Think = 1.0,
    key_file: KeyFile = None,
    out: Out = None,
    slo: Slo = None,
    as_json: AsJson = False,
    yes: Yes = False,
    host: Host = "",
    environment: Document = None,
) -> None:
    """Lead a load test whose users run on other machines: begin it here, and `worker` there.

    What users do goes to the workers, keys do not: each worker has its own --key-file. Whoever reaches the port can
    take part: nothing is authenticated or encrypted.

    Exit code 0: met; 1: missed; 2: a wrong option or environment; 3: it could not be run, or tells nothing (workers
    lost, many requests over a rate limit); 130: interrupted.

    Example: simplicity loadtest master soak --listen 10.0.0.5:5557 --workers 3 --users 3000 --time 4h
    """
    with _told():
        target = _target(environment, host, yes=yes)
        course, objectives, address = _course(shape, users, time), _objectives(slo), _address(listen, "--listen")
        plan = _spread(_plan(target, course, seed=seed, think=think, key_file=key_file), workers, address)
        _carry_out(plan, target, objectives, out, as_json=as_json, local_workers=False)


@app.command()
def worker(
    *,
    master: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the master listens.")],
    key_file: KeyFile = None,
) -> None:
    """Run users for a master on another machine, until it says that it is enough; start one for each processor.

    Exit code 0: done; 2: a wrong option; 3: no master, or it was lost.

    Example: simplicity loadtest worker --master 10.0.0.5:5557 --key-file keys
    """
    from loadtests.driver import join  # noqa: PLC0415 - not needed for --help
    from loadtests.plan import Plan  # noqa: PLC0415 - as above
    from loadtests.target import keys_of  # noqa: PLC0415 - as above

    with _told():
        keys = () if key_file is None else keys_of(key_file)
        join(Plan(role="worker", listen=_address(master, "--master"), keys=keys), _Teller())


@app.command("list")
def list_(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False) -> None:
    """List the shapes, and the users with their shares.

    Exit code 0: listed.

    Examples: simplicity loadtest list; simplicity loadtest list --json
    """
    from loadtests.behaviour import BEHAVIOURS  # noqa: PLC0415 - not needed for --help
    from loadtests.shapes import ABOUT  # noqa: PLC0415 - as above

    shapes = [
        {"name": shape.value, "seconds": about.seconds, "about": about.sentence} for shape, about in ABOUT.items()
    ]
    all_of_them = sum(each.weight for each in BEHAVIOURS)
    users = [{"name": each.name, "share": each.weight / all_of_them, "about": each.about} for each in BEHAVIOURS]
    if as_json:
        typer.echo(json.dumps({"shapes": shapes, "users": users}, indent=2))
        return
    for shape, about in ABOUT.items():
        typer.echo(f"{shape.value:<12}{about.seconds:>6.0f} s  {about.sentence}")
    for each in BEHAVIOURS:
        typer.echo(f"{each.name:<12}{each.weight / all_of_them:>7.0%}   {each.about}")


class _Teller:
    """Tells on standard error: a line a second, each in the place of the one before where a person looks on."""

    def __init__(self) -> None:
        self._rewrites = sys.stderr.isatty()

    def second(self, point: Point) -> None:
        """Tell a second."""
        typer.echo(f"\r\x1b[2K{point.sentence}" if self._rewrites else point.sentence, err=True, nl=not self._rewrites)

    def say(self, text: str) -> None:
        """Tell a sentence."""
        typer.echo(f"\r\x1b[2K{text}" if self._rewrites else text, err=True)


def _carry_out(  # noqa: PLR0913 - what the two commands have in common
    plan: Plan, target: Target, objectives: SloOf, out: Path | None, *, as_json: bool, local_workers: bool
) -> NoReturn:
    from loadtests import driver, report, thresholds  # noqa: PLC0415 - not needed for --help

    teller = _Teller()
    if target.name and not plan.targets:
        teller.say(
            "this environment's Prometheus will not see the test: the document names no directory of targets here"
        )
    result = driver.run(plan, teller, local_workers=local_workers)
    verdict = thresholds.judge(result.tally, objectives, result.problems)
    document = report.document(plan, target, result, verdict)
    directory = out or Path(f"loadtest-{result.begun:%Y%m%dT%H%M%SZ}")
    files = report.write(directory, document)
    teller.say(f"{verdict.sentence}\nreport: {files.page}")
    for text in document["notes"]:
        teller.say(text)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    code = EXIT_NOT_RUN if verdict.void else 0 if verdict.met else EXIT_MISSED
    raise typer.Exit(EXIT_INTERRUPTED if result.early else code)


def _plan(target: Target, course: Course, *, seed: int, think: float, key_file: Path | None) -> Plan:
    from loadtests import sample  # noqa: PLC0415 - not needed for --help
    from loadtests.plan import Plan, Work  # noqa: PLC0415 - as above
    from loadtests.target import keys_of  # noqa: PLC0415 - as above

    keys = () if key_file is None else keys_of(key_file)
    taken = sample.take(target.host, seed=seed, key=keys[0] if keys else "")
    return Plan(
        role="alone",
        course=course,
        work=Work(host=target.host, seed=seed, think=think, sample=taken, share=course.users),
        targets=target.targets,
        labels=tuple(target.labels.items()),
        keys=keys,
    )


def _objectives(path: Path | None) -> SloOf:
    from alerts.slo import FILE, SloError, read  # noqa: PLC0415 - not needed for --help

    try:
        return read(path or FILE)
    except SloError as error:
        raise UsageError(str(error)) from None


def _spread(plan: Plan, workers: int, listen: tuple[str, int]) -> Plan:
    from dataclasses import replace  # noqa: PLC0415 - not needed for --help

    if plan.work is None:
        raise ValueError("a plan without work")
    work = replace(plan.work, share=-(-plan.work.share // workers))
    return replace(plan, role="master", work=work, workers=workers, listen=listen)


def _target(environment: Path | None, host: str, *, yes: bool) -> Target:
    from loadtests import target as targets  # noqa: PLC0415 - not needed for --help

    if host and environment is not None:
        raise UsageError("give --environment or --host, not both (SIMPLICITY_ENVIRONMENT counts as the first)")
    found = targets.of_url(host) if host else targets.of_document(environment or targets.default_document())
    if not found.is_here and not yes:
        what = f"{found.name} ({found.place})" if found.name else found.host
        raise UsageError(
            f"{what} is not a local environment, and its users would feel it; repeat it with --yes if that is meant"
        )
    return found


def _course(shape: str, users: int, time: str) -> Course:
    from alerts.model import seconds  # noqa: PLC0415 - not needed for --help
    from loadtests.shapes import ABOUT, Course, Shape  # noqa: PLC0415 - as above

    if shape not in set(Shape):
        raise UsageError(f"there is no shape {shape[:50]!r}: {', '.join(Shape)}")
    chosen = Shape(shape)
    try:
        length = seconds(time) if time else ABOUT[chosen].seconds
    except ValueError:
        raise UsageError(f"--time {time[:50]!r} is no time such as 45s, 10m or 2h") from None
    return Course(chosen, users, length)


def _address(text: str, option: str) -> tuple[str, int]:
    found = re.fullmatch(r"([\w.-]+):(\d{1,5})", text, re.ASCII)
    if found is None or not 1 <= int(found[2]) <= 65_535:  # noqa: PLR2004 - the highest port
        raise UsageError(f"{option} {text[:100]!r} is no HOST:PORT such as 10.0.0.5:5557")
    return found[1], int(found[2])


@contextmanager
def _told() -> Iterator[None]:
    """Show what keeps a command from its work as one line."""
    try:
        yield
    except UsageError as error:
        _fail(str(error), EXIT_USAGE)
    except LoadtestError as error:
        _fail(str(error), EXIT_NOT_RUN)


def _fail(message: str, code: int) -> NoReturn:
    # What a server says may be in it.
    plain = "".join(character if character.isprintable() else "?" for character in message)
    typer.echo(f"simplicity: {plain}", err=True)
    raise typer.Exit(code)
