"""`simplicity deploy`: build, gate, deploy, promote and roll back releases."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from runbooks.engine.command import EXIT_USAGE, document_of, explained, fail, interruptible, is_terminal, rehearse
from runbooks.engine.telling import plain, telling

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.environment import Environment
    from runbooks.engine.model import Runbook, Teller
    from runbooks.engine.run import Place
    from runbooks.engine.state import Run

EXIT_WRONG = 1

Document = Annotated[
    Path | None,
    typer.Option(envvar="SIMPLICITY_ENVIRONMENT", help="The environment document; without it the local envelope's."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object; how it goes is told on standard error.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The release; `simplicity deploy releases` names them.")]
Repository = Annotated[Path, typer.Option(help="Where the source is.")]
Yes = Annotated[bool, typer.Option("--yes", help="A difference of the configuration was reviewed.")]
WatchSeconds = Annotated[int, typer.Option(min=1, max=500, help="How long it is watched with all traffic.")]
WatchRequests = Annotated[int, typer.Option(min=0, help="How many requests it has to have answered.")]
StageSeconds = Annotated[int, typer.Option(min=0, max=60, help="How long each smaller share is watched.")]
Waive = Annotated[
    list[str] | None, typer.Option(help="Pass over this gate: checks, backup, configuration or freeze; with --reason.")
]
Reason = Annotated[str, typer.Option(help="Why gates are passed over; it is kept in the journal and the trail.")]

app = typer.Typer(no_args_is_help=True, help="Build, gate, deploy, promote and roll back releases.")


@app.callback()
def _root() -> None:
    """Build, gate, deploy, promote and roll back releases."""


@app.command()
def keys(*, as_json: AsJson = False, environment: Document = None) -> None:
    """Make the key that signs releases, and the public one beside the environment document; once.

    Exit code 0: made; 1: there is one; 2: no environment.

    Example: simplicity deploy keys
    """
    from runbooks.deploy.keys import make  # noqa: PLC0415 - not needed for --help

    with _told():
        private, public = make(document_of(environment)[0])
    _print({"private": str(private), "public": str(public)}, f"made {private} and {public}", as_json=as_json)


@app.command()
def build(  # noqa: PLR0913 - its options are its arguments
    *,
    ref: Annotated[str, typer.Option(help="The commit.")] = "HEAD",
    out: Annotated[Path | None, typer.Option(help="Where releases lie; by default `releases` in the home.")] = None,
    repository: Repository = Path(),
    python: Annotated[str, typer.Option(help="The hosts' Python.")] = "3.13",
    machine: Annotated[list[str] | None, typer.Option(help="The hosts' machines; may be repeated.")] = None,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Build a release from a commit: wheels with hashes, bill of materials, migrations, all signed.

    Nothing of it is downloaded a second time. A release is called VERSION-COMMIT, and is never built twice.

    Exit code 0: built, or there already; 1: it cannot be, and nothing is left; 2: no environment or key.

    Examples: simplicity deploy build; simplicity deploy build --ref v0.2.0 --machine x86_64 --machine aarch64 --json
    """
    from runbooks.deploy.building import Order  # noqa: PLC0415 - not needed for --help
    from runbooks.deploy.building import build as built  # noqa: PLC0415 - as above
    from runbooks.deploy.keys import paths, signer, trust  # noqa: PLC0415 - as above
    from runbooks.deploy.store import store  # noqa: PLC0415 - as above
    from runbooks.deploy.wheels import Target  # noqa: PLC0415 - as above

    with _told(), telling(as_json=as_json, is_terminal=is_terminal()) as teller:
        private, public = paths(document_of(environment)[0])
        made = built(
            Order(
                repository=repository.absolute(),
                ref=ref,
                target=Target(python, tuple(machine or ("x86_64",))),
                out=(out or store().home).absolute(),
                cache=store().cache,
                sign=signer(private),
                trusted=trust(public),
                say=teller.say,
                progress=teller.progress,
            )
        )
    words = {"id": made.manifest.id, "directory": str(made.directory), "built": made.fresh}
    line = f"{made.manifest.id}: {'built' if made.fresh else 'there already, whole'}, {len(made.manifest.files)} files"
    _print(words | {"schema": made.manifest.newest, "files": len(made.manifest.files)}, line, as_json=as_json)


@app.command()
def attest(
    result: Annotated[
        list[str], typer.Argument(metavar="NAME=passed|failed…", help="What ran, and how it ended: tests, scans, …")
    ],
    *,
    ref: Annotated[str, typer.Option(help="The commit that it ran on.")] = "HEAD",
    repository: Repository = Path(),
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Sign which checks of a commit passed, where they ran: the gate `checks` asks for tests and scans.

    Exit code 0: signed; 1: it cannot be; 2: no environment, or a result that is none.

    Example: .ci/run && simplicity deploy attest tests=passed scans=passed
    """
    from runbooks.deploy.building import commit_of  # noqa: PLC0415 - not needed for --help
    from runbooks.deploy.keys import paths, signer  # noqa: PLC0415 - as above
    from runbooks.deploy.store import checks_of, now, store  # noqa: PLC0415 - as above

    results = dict(each.partition("=")[::2] for each in result)
    if not all(name.isidentifier() for name in results) or set(results.values()) - {"passed", "failed"}:
        fail("results are NAME=passed or NAME=failed", EXIT_USAGE)
    with _told():
        commit = commit_of(repository.absolute(), ref)
        sign = signer(paths(document_of(environment)[0])[0])
        words = {"commit": commit, "at": now(), "results": results}
        store().state(checks_of(commit), words, sign)
    _print(
        words,
        f"signed for {commit[:12]}: {', '.join(f'{name} {each}' for name, each in results.items())}",
        as_json=as_json,
    )


@app.command()
def releases(*, as_json: AsJson = False, environment: Document = None) -> None:
    """List the releases of this control node, the oldest first, and whether they may be used.

    Exit code 0: listed; 2: no environment.

    Example: simplicity deploy releases --json
    """
    from runbooks.deploy.errors import DeployError  # noqa: PLC0415 - not needed for --help
    from runbooks.deploy.keys import paths, trust  # noqa: PLC0415 - as above
    from runbooks.deploy.manifest import read  # noqa: PLC0415 - as above
    from runbooks.deploy.store import store  # noqa: PLC0415 - as above

    with _told():
        trusted = trust(paths(document_of(environment)[0])[1])
        rows: list[dict[str, Any]] = []
        for name in store().ids():
            try:
                found = read(store().home / name, trusted)
                rows.append({"id": name, "made_at": found.made_at, "schema": found.newest, "usable": True})
            except DeployError as error:
                rows.append({"id": name, "usable": False, "why": str(error)})
    lines = [f"{row['id']}  {row.get('made_at') or 'UNUSABLE: ' + row['why']}" for row in rows]
    _print(rows, "\n".join(lines) or "no releases: simplicity deploy build", as_json=as_json)


@app.command()
def site(  # noqa: PLR0913 - its options are its arguments
    *,
    which: Annotated[
        str, typer.Option("--release", metavar="ID", help="What hosts without a release get; others keep theirs.")
    ] = "",
    check: Annotated[bool, typer.Option("--check", help="Change nothing, and say what would be changed.")] = False,
    limit: Annotated[str, typer.Option(help="Only these hosts, as Ansible reads it: app1, or balancer.")] = "",
    tags: Annotated[str, typer.Option(help="Only these parts: certificates, postgresql, haproxy, …")] = "",
    rotate_certificates: Annotated[bool, typer.Option(help="Sign all certificates anew.")] = False,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Make of the environment's hosts what they are to be: from bare ones to all of it running. Again: no change.

    Exit code 0: they are; 1: not so, and what failed; 2: no such release or environment.

    Examples: simplicity deploy site --release 0.2.0-0123456789ab; simplicity deploy site --check;
    simplicity deploy site --limit balancer --tags certificates --rotate-certificates
    """
    from runbooks.deploy.site import bring  # noqa: PLC0415 - not needed for --help

    with _told(), telling(as_json=as_json, is_terminal=is_terminal()) as teller:
        found, path = document_of(environment)
        brought = bring(
            found,
            path.absolute(),
            release=which,
            check=check,
            limit=limit,
            tags=tags,
            variables={"certificates_rotate": "true"} if rotate_certificates else {},
            tell=teller.say,
        )
    _print(brought.as_dict(), brought.text, as_json=as_json)
    raise typer.Exit(EXIT_WRONG if brought.played.failed else 0)


@app.command()
def release(  # noqa: PLR0913 - its options are its arguments
    which: Id,
    *,
    watch_seconds: WatchSeconds = 60,
    watch_requests: WatchRequests = 5000,
    stage_seconds: StageSeconds = 6,
    yes: Yes = False,
    waive: Waive = None,
    reason: Reason = "",
    only_plan: Annotated[bool, typer.Option("--dry-run", help="Ask the gates, and say what would be done.")] = False,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Deploy a release: gates, idle colour, smoke, 5 to 100 % of the traffic, watch, sync, and the old colour retires.

    Whatever fails takes everything back by itself, traffic first. What a killed deployment left is put right before.

    Exit code 0: live; 1: a person is needed, or nothing was done; 2: no such release or environment; 3: another
    deployment is at work; 4: taken back; 130: interrupted.

    Examples: simplicity deploy release 0.2.0-0123456789ab; simplicity deploy release ID --dry-run;
    simplicity deploy release ID --waive backup --reason "S3 is away, inc-42"
    """
    arguments = _arguments(which, watch_seconds, watch_requests, stage_seconds, yes=yes, waive=waive, reason=reason)
    _carry_out("deploy-release", arguments, environment, as_json=as_json, wanted=which, only_plan=only_plan)


@app.command()
def promote(  # noqa: PLR0913 - its options are its arguments
    which: Id,
    *,
    source: Annotated[Path, typer.Option("--from", help="The document of the environment that has run it.")],
    watch_seconds: WatchSeconds = 60,
    watch_requests: WatchRequests = 5000,
    stage_seconds: StageSeconds = 6,
    yes: Yes = False,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Deploy a release that another environment has run, as is signed; the same bytes.

    Exit code as for `release`.

    Example: simplicity deploy promote 0.2.0-0123456789ab --from staging.json --environment production.json
    """
    from infra.environment import load  # noqa: PLC0415 - not needed for --help

    with _told():
        after = load(source).name
    arguments = _arguments(which, watch_seconds, watch_requests, stage_seconds, yes=yes, waive=None, reason="")
    _carry_out("deploy-release", arguments | {"after": after}, environment, as_json=as_json, wanted=which)


@app.command()
def rollback(*, as_json: AsJson = False, environment: Document = None) -> None:
    """Return to the release before: clients reach it in seconds, then sync follows.

    A deployment that is under way, or was left, is taken back instead.

    Exit code 0: clients reach the release before; 1: a person is needed; 3: a deployment is at work: interrupt it, it
    can be taken back; 4: taken back, nothing has changed.

    Example: simplicity deploy rollback
    """
    _carry_out("deploy-rollback", {}, environment, as_json=as_json, then="deploy-settle")


@app.command()
def switch(
    colour: Annotated[str, typer.Argument(help="blue or green.")],
    *,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Give all traffic to one colour, on every balancer, once its processes are ready.

    Exit code 0: done; 1: it failed; 2: no such colour; 3: a deployment is at work.

    Example: simplicity deploy switch blue
    """
    _carry_out("deploy-switch", {"colour": colour}, environment, as_json=as_json)


@app.command()
def status(*, as_json: AsJson = False, environment: Document = None) -> None:
    """Show which release has which colour, where the traffic goes, and what was left unfinished.

    Exit code 0: one colour has all traffic and runs everywhere; 1: not so, or somebody does not answer; 2: no
    environment.

    Example: simplicity deploy status --json
    """
    from runbooks.deploy.status import examine  # noqa: PLC0415 - not needed for --help

    with _told(), telling(as_json=as_json, is_terminal=False) as teller:
        found = examine(_place(environment, teller))
    _print(found.as_dict(), found.text, as_json=as_json)
    raise typer.Exit(0 if found.good else EXIT_WRONG)


@app.command()
def history(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest.")] = 20,
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """List deployments, roll backs and switches, the newest last, and why those failed that did.

    Exit code 0: listed; 1: a journal cannot be read; 2: no environment.

    Example: simplicity deploy history --limit 5
    """
    from runbooks.deploy.history import rows  # noqa: PLC0415 - not needed for --help
    from runbooks.engine.journal import all_runs  # noqa: PLC0415 - as above
    from runbooks.engine.wiring import runs_home  # noqa: PLC0415 - as above

    with _told():
        found = rows(all_runs(runs_home()), document_of(environment)[0].name)[-limit:]
    _print([asdict(each) for each in found], "\n".join(each.sentence for each in found) or "none", as_json=as_json)


@app.command()
def freeze(
    *,
    until: Annotated[str, typer.Option(help="A moment with its zone, like 2026-12-27T08:00:00Z.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    as_json: AsJson = False,
    environment: Document = None,
) -> None:
    """Hold deployments back until a moment; roll backs are not held.

    Exit code 0: frozen; 2: no moment, or no environment.

    Example: simplicity deploy freeze --until 2026-12-27T08:00:00Z --reason "holidays"
    """
    from audit.entry import actor  # noqa: PLC0415 - not needed for --help
    from runbooks.deploy import freezing  # noqa: PLC0415 - as above
    from runbooks.engine.arguments import moment  # noqa: PLC0415 - as above

    try:
        ends = str(moment()(until))
    except ValueError as error:
        fail(f"--until {error}", EXIT_USAGE)
    made = freezing.Freeze(ends, plain(reason), actor())
    with _told(), telling(as_json=as_json, is_terminal=False) as teller:
        place = _place(environment, teller)
        freezing.write(place.environment.name, made)
        _record(place, "deploy.freeze", asdict(made))
    _print(asdict(made), made.sentence, as_json=as_json)


@app.command()
def unfreeze(*, as_json: AsJson = False, environment: Document = None) -> None:
    """End a freeze.

    Exit code 0: there is none any more; 2: no environment.

    Example: simplicity deploy unfreeze
    """
    from runbooks.deploy import freezing  # noqa: PLC0415 - not needed for --help

    with _told(), telling(as_json=as_json, is_terminal=False) as teller:
        place = _place(environment, teller)
        there = freezing.remove(place.environment.name)
        if there:
            _record(place, "deploy.unfreeze", {})
    _print({"was_frozen": there}, "ended" if there else "deployments were not frozen", as_json=as_json)


def _arguments(  # noqa: PLR0913 - the options of two commands
    which: str, seconds: int, requests: int, stage: int, *, yes: bool, waive: list[str] | None, reason: str
) -> dict[str, str]:
    return {
        "release": which,
        "watch-seconds": str(seconds),
        "watch-requests": str(requests),
        "stage-seconds": str(stage),
        "reviewed": "yes" if yes else "no",
        "waive": ",".join(waive or ()),
        "reason": reason,
    }


def _carry_out(  # noqa: PLR0913 - what every command that changes something has in common
    name: str,
    given: Mapping[str, str],
    environment: Path | None,
    *,
    as_json: bool,
    wanted: str = "",
    only_plan: bool = False,
    then: str = "",
) -> NoReturn:
    """Put right what was left, carry a runbook out, and then another one where it is done; exits with its code."""
    from runbooks.deploy.books.release import TARGET  # noqa: PLC0415 - not needed for --help
    from runbooks.deploy.healing import heal, left  # noqa: PLC0415 - as above
    from runbooks.engine.arguments import parse_arguments  # noqa: PLC0415 - as above
    from runbooks.engine.dry import dry_run  # noqa: PLC0415 - as above
    from runbooks.engine.registry import runbook  # noqa: PLC0415 - as above
    from runbooks.engine.report import exit_code  # noqa: PLC0415 - as above
    from runbooks.engine.run import start  # noqa: PLC0415 - as above

    with _told(), telling(as_json=as_json, is_terminal=is_terminal()) as teller:
        book = runbook(name)
        arguments = parse_arguments(book.parameters, [f"{key}={value}" for key, value in given.items()])
        place = _place(environment, teller)
        if only_plan:
            parts = dry_run(book, arguments, place.environment, teller)
            rehearse(name, parts, teller, only_plan=True, as_json=as_json)
        with interruptible(place, TARGET):
            found = left(place)
            turned = found is not None and found.turned_back
            healed = heal(place, wanted)
            if healed is not None and _is_answer(healed, wanted, then, was_turned_back=turned):
                ended, book = healed, runbook(healed.runbook)
            else:
                ended = start(book, arguments, place)
            if ended.runbook == name and then and exit_code(ended) == 0:
                teller.say(start(runbook(then), {}, place).sentence)
        _tell(ended, book, as_json=as_json)
    raise typer.Exit(0 if then and ended.runbook == "deploy-release" and ended.is_over else exit_code(ended))


def _is_answer(healed: Run, wanted: str, then: str, *, was_turned_back: bool) -> bool:
    """Say whether what was left is all that was asked for: a roll back of it, or the very deployment."""
    if then:
        return healed.runbook in {"deploy-release", "deploy-rollback"}
    # Gone on with just now, whatever came of it: what failed is not tried a second time by itself.
    return healed.arguments.get("release") == wanted and not was_turned_back


def _tell(ended: Run, book: Runbook, *, as_json: bool) -> None:
    from runbooks.deploy.history import row  # noqa: PLC0415 - not needed for --help
    from runbooks.engine.report import record, summary  # noqa: PLC0415 - as above

    told = row(ended)
    lines = f"{summary(ended, book)}\n{told.sentence}, {told.seconds} s"
    _print(record(ended, book) | {"deployment": asdict(told)}, lines, as_json=as_json)


def _place(environment: Path | None, teller: Teller) -> Place:
    """Return where deployments are carried out from; this process is in the hosts' network from here on."""
    from runbooks.deploy.network import enter  # noqa: PLC0415 - not needed for --help
    from runbooks.engine.wiring import place_of  # noqa: PLC0415 - as above

    found: tuple[Environment, Path] = document_of(environment)
    enter(found[0])
    return place_of(*found, teller)


def _record(place: Place, action: str, words: Mapping[str, str]) -> None:
    from audit.entry import entry  # noqa: PLC0415 - not needed for --help

    place.recorder.record(entry(action, place.environment.name, after=dict(words)))


def _print(value: object, text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(value, indent=2, default=str) if as_json else plain(text))


@contextmanager
def _told() -> Iterator[None]:
    """Show what keeps a command from its work as one line."""
    from runbooks.deploy.errors import DeployError  # noqa: PLC0415 - not needed for --help
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above

    with explained():
        try:
            yield
        except (DeployError, Refusal) as error:
            fail(str(error), EXIT_WRONG)
