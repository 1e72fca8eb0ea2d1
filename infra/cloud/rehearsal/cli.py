"""`simplicity infrastructure rehearse | drift`: the cloud program without a cloud."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.cloud.settings import SettingsError
from infra.local.layout import layout
from infra.local.signals import set_at_the_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.cloud.rehearsal.keeping import Kept
    from infra.cloud.rehearsal.report import Report

EXIT_WRONG, EXIT_USAGE = 1, 2
SEED, AT_ONCE = 7, 3

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object; how it goes is told on standard error.")]
StackName = Annotated[str | None, typer.Argument(help="Which stack; without it all of them.")]


def rehearse(  # noqa: PLR0913 - a command's options are its arguments
    stack: StackName = None,
    *,
    seed: Annotated[int, typer.Option(help="Decides which properties drift.")] = SEED,
    keep: Annotated[bool, typer.Option("--keep", help="Only create, and leave it there for `drift`.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Only run emulator and provider, for a `pulumi` of yours.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End a rehearsal that was kept.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw the resource graph into this SVG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a stack's very program and create every resource through the API of an emulator of AWS; no account is needed.

    It plans, creates, plans again (nothing), injects drifts (each is named), plans changes of the configuration
    (exactly what they should), and deletes all of it. Where there is a `pulumi` command, its engine does this; without
    it a small driver of ours does. The output says which, and what an emulator cannot show.

    Exit code 0: all of it holds; 1: something does not; 2: the configuration is no good, or wrong options.

    Examples:
    simplicity infrastructure rehearse                      # all stacks

    simplicity infrastructure rehearse production --picture production.svg

    simplicity infrastructure rehearse rehearsal --keep     # then change something by boto3, and:

    simplicity infrastructure drift rehearsal

    simplicity infrastructure rehearse --serve              # for `pulumi up` by hand, without an account
    """
    with _explained():
        from infra.cloud import stacks  # noqa: PLC0415 - reads all of Pulumi, which --help need not wait for

        if serve:
            _serve()
            return
        if stop or keep:
            if stack is None:
                _fail("--keep and --stop need the name of a stack: simplicity infrastructure rehearse rehearsal --keep")
            _stop(stack) if stop else _keep(stack, picture)
            return
        names = stacks.names() if stack is None else (stack,)
        for name in names:
            stacks.load(name)  # a mistake in the last one is told before the first one is begun
        reports = _all(names, seed, picture if stack else None)
    if as_json:
        typer.echo(json.dumps({"stacks": [each.as_dict() for each in reports]}, indent=2))
    else:
        for each in reports:
            _show(each)
    raise typer.Exit(0 if all(each.holds for each in reports) else EXIT_WRONG)


def drift(
    stack: Annotated[str, typer.Argument(help="Which stack.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Name what is not any more as the last `up` of a kept rehearsal left it: asked from AWS's API, not from the state.

    For a stack on AWS itself: `pulumi refresh --preview-only --diff --stack production`.

    Exit code 0: nothing has drifted; 1: something has; 2: nothing is kept of this stack.

    Example: simplicity infrastructure rehearse rehearsal --keep; simplicity infrastructure drift rehearsal
    """
    with _explained():
        from infra.cloud import stacks  # noqa: PLC0415 - as above
        from infra.cloud.rehearsal.lab import lab  # noqa: PLC0415 - as above

        kept, settings = _kept(stack), stacks.load(stack)
        endpoint = kept.endpoint()
        if endpoint is None:
            _fail(
                f"no rehearsal of {stack} is kept: `simplicity infrastructure rehearse {stack} --keep` first; "
                f"of the stack on AWS: pulumi refresh --preview-only --diff --stack {stack}"
            )
        with lab(endpoint, kept.state, stack, settings.region) as made:
            found = made.drifts()
    if as_json:
        drifts = [{"urn": each.urn, "was": each.was, "now": each.now, "line": each.line} for each in found]
        typer.echo(json.dumps({"stack": stack, "drifts": drifts}, indent=2))
    else:
        for each in found:
            typer.echo(each.line)
        typer.echo(f"{stack}: {f'{len(found)} resources have drifted' if found else 'nothing has drifted'}")
    raise typer.Exit(EXIT_WRONG if found else 0)


def _all(names: tuple[str, ...], seed: int, picture: Path | None) -> list[Report]:
    """Rehearse stacks, three at a time: each has a process, an emulator and an account of its own."""
    if len(names) == 1:
        return [_rehearsed(names[0], seed, picture)]
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(AT_ONCE, mp_context=spawning) as pool:
        return list(pool.map(_rehearsed, names, repeat(seed), repeat(None)))


def _rehearsed(stack: str, seed: int, picture: Path | None) -> Report:
    from infra.cloud import stacks  # noqa: PLC0415 - as above
    from infra.cloud.rehearsal.emulator import emulator  # noqa: PLC0415 - as above
    from infra.cloud.rehearsal.engine import engine_lab, there  # noqa: PLC0415 - as above
    from infra.cloud.rehearsal.lab import lab  # noqa: PLC0415 - as above
    from infra.cloud.rehearsal.rehearse import ENGINE, OURS, Rehearsal, prepared  # noqa: PLC0415 - as above

    settings, engine = stacks.load(stack), there()
    with ExitStack() as running:
        # One each: what another stack left would count as this one's.
        endpoint = running.enter_context(emulator())
        scratch = running.enter_context(tempfile.TemporaryDirectory(prefix="simplicity-rehearsal-"))
        given = (endpoint, Path(scratch) / "state", stack, settings.region, stacks.configuration(stack))
        made = running.enter_context(engine_lab(*given) if engine else lab(*given))
        done = 0

        def count(_step: object) -> None:
            nonlocal done
            done += 1

        def tell(what: str) -> None:
            typer.echo(f"{stack}: {what} ({done} steps so far)", err=True)

        made.tell = count
        return Rehearsal(made, prepared(settings, made), seed, tell, picture, ENGINE if engine else OURS).run()


def _keep(stack: str, picture: Path | None) -> None:
    from infra.cloud import stacks  # noqa: PLC0415 - as above
    from infra.cloud.program import build  # noqa: PLC0415 - as above
    from infra.cloud.rehearsal.lab import lab  # noqa: PLC0415 - as above
    from infra.cloud.rehearsal.picture import svg  # noqa: PLC0415 - as above
    from infra.cloud.rehearsal.rehearse import prepared  # noqa: PLC0415 - as above

    settings, kept = stacks.load(stack), _kept(stack)
    kept.stop()
    endpoint = kept.start()
    with lab(endpoint, kept.state, stack, settings.region, stacks.configuration(stack)) as made:
        there = prepared(settings, made)
        steps = made.up(lambda: build(there))
        if picture is not None:
            picture.write_text(svg(f"Stack {stack}", made.state.resources.values()), encoding="utf-8")
    typer.echo(f"{stack}: {len(steps)} resources created at {endpoint}, region {settings.region}")
    typer.echo(f"end it by `simplicity infrastructure rehearse {stack} --stop`")


def _serve() -> None:
    """Run what stands in for AWS and its plugin until Ctrl-C, and say how `pulumi` finds them."""
    from infra.cloud.rehearsal.emulator import clients, emulator  # noqa: PLC0415 - as above
    from infra.cloud.rehearsal.provider import serve  # noqa: PLC0415 - as above

    stopped = threading.Event()
    set_at_the_end(stopped)
    with (
        tempfile.TemporaryDirectory(prefix="simplicity-rehearsal-") as state,
        emulator() as endpoint,
        serve(partial(clients, endpoint)) as port,
    ):
        typer.echo(f"export PULUMI_DEBUG_PROVIDERS=aws:{port}")
        typer.echo(f"export AWS_ENDPOINT_URL={endpoint}  # for the AWS CLI and boto3: they see what pulumi made")
        # Not by `pulumi login`, which would stay: the next command would look for a real stack in here.
        typer.echo(f"export PULUMI_BACKEND_URL=file://{state}")
        typer.echo("export PULUMI_CONFIG_PASSPHRASE=rehearsal")
        typer.echo(
            "then, for example: pulumi stack init rehearsal && pulumi up; "
            "Ctrl-C ends this and forgets it all, the state too",
            err=True,
        )
        stopped.wait()


def _stop(stack: str) -> None:
    typer.echo(f"{stack}: {'ended' if _kept(stack).stop() else 'no rehearsal of it was kept'}")


def _kept(stack: str) -> Kept:
    from infra.cloud.rehearsal.keeping import Kept  # noqa: PLC0415 - as above

    return Kept(layout().home / "rehearsals" / Path(stack).name)


def _show(report: Report) -> None:
    console = Console()
    created = Table(title=f"{report.stack}: {sum(report.created.values())} resources created", title_justify="left")
    created.add_column("Type")
    created.add_column("Count", justify="right")
    for kind, count in report.created.items():
        created.add_row(escape(kind), str(count))
    console.print(created)
    figures = Table(title=f"{report.stack}: rehearsed by {report.driver} in {report.seconds} s", title_justify="left")
    figures.add_column("")
    figures.add_column("What")
    figures.add_column("Figure")
    for line in report.lines:
        figures.add_row("[green]ok[/]" if line.holds else "[red]no[/]", escape(line.what), escape(line.figure))
    console.print(figures)
    console.print("What the emulator cannot show:")
    for limit in report.limits:
        console.print(f"  {escape(limit)}", highlight=False)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        for line in error.lines:
            typer.echo(f"simplicity: {line}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    except ModuleNotFoundError as error:
        _fail(f"this needs the package {error.name}: pip install 'simplicity[rehearsal]'")
    except OSError as error:
        _fail(str(error))
    except Exception as error:
        # What a program or a step of it raises; their classes would have to be imported with all of Pulumi.
        if type(error).__module__.partition(".")[0] not in {"infra", "pulumi"}:
            raise
        typer.echo(f"simplicity: {error}", err=True)
        raise typer.Exit(EXIT_WRONG) from None


def _fail(message: str) -> NoReturn:
    typer.echo(f"simplicity: {message}", err=True)
    raise typer.Exit(EXIT_USAGE)
