"""`simplicity state`: recompute the indexed state, compare it with another indexer's, mend it, write it out."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated

import typer

from indexer import log
from indexer.command import EnvFile, clear_errors, whole_file
from indexer.settings import ConfigurationError, Settings, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.bitcoin.source import BlockSource
    from indexer.sync.ahead import Ahead

CONSISTENT, DIFFERS, CANNOT = 0, 1, 2

FromChain = Annotated[
    bool,
    typer.Option("--from-chain", help="Decode the node's own blocks too: shows what recomputing alone cannot see."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

state_app = typer.Typer(no_args_is_help=True, help="The indexed state: verify, compare, repair, export.")


@state_app.callback()
def _state() -> None:
    """The indexed state: verify, compare, repair, export."""  # noqa: D401 - a group's title


@state_app.command()
def verify(*, from_chain: FromChain = False, as_json: AsJson = False, env_file: EnvFile = None) -> None:
    """Recompute every block's operations, hashes and digest by the rules and compare them with all tables.

    Reads one snapshot, so a sync may go on meanwhile. Names the first block that differs and the first wrong rows of
    each table. A million balances take about 400 MB of memory. Many of the node's blocks are decoded in SYNC_WORKERS
    processes.

    Exit code 0: consistent; 1: something differs; 2: it cannot be told.

    Examples: simplicity state verify; simplicity state verify --from-chain --json
    """
    from indexer.progress import shown  # noqa: PLC0415 - as above
    from indexer.state import verify as verifying  # noqa: PLC0415 - the database client is not needed for --help
    from indexer.state.display import report_lines  # noqa: PLC0415 - as above
    from indexer.store.chain import Identity  # noqa: PLC0415 - as above

    with _told(), _node(settings := _load(env_file)) as node, _ahead(settings) as ahead:
        url, identity = settings.DATABASE_URL.get_secret_value(), Identity.from_settings(settings)
        report = verifying.verify(url, identity, shown, node if from_chain else None, ahead)
    _print(report.as_dict(), report_lines(report), as_json=as_json)
    raise typer.Exit(CONSISTENT if report.is_consistent else DIFFERS)


@state_app.command()
def compare(
    *,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="COMPARE_DATABASE_URL",
            help="The other indexer's database; the environment keeps its password out of the list of processes.",
        ),
    ] = None,
    api: Annotated[
        str | None, typer.Option(help="The other indexer's API, such as https://indexer.example.com.")
    ] = None,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Compare this database with another indexer's by state hash, and find the first block in which they differ.

    The hashes are cumulative, so a few reads are enough however long the chain is. Shows the operations of that block
    that differ.

    Exit code 0: equal up to the lower of both tips; 1: they differ; 2: they cannot be compared.

    Examples: simplicity state compare --api https://indexer.example.com;
    simplicity state compare --database postgresql://reader@standby/brc20 --json
    """
    from indexer.state import compare as comparing  # noqa: PLC0415 - the database client is not needed for --help
    from indexer.state.display import comparison_lines  # noqa: PLC0415 - as above
    from indexer.state.sides import open_api, open_database  # noqa: PLC0415 - as above

    with _told(), ExitStack() as stack:
        settings = _load(env_file)
        if (database is None) == (api is None):
            raise ConfigurationError("name the other indexer, either with --database URL or with --api URL")
        here = stack.enter_context(open_database(settings.DATABASE_URL.get_secret_value(), "DATABASE_URL"))
        other = open_api(api or "") if database is None else open_database(database, "--database")
        comparison = comparing.compare(here, stack.enter_context(other), settings.START_BLOCK_HEIGHT)
    _print(comparison.as_dict(), comparison_lines(comparison), as_json=as_json)
    raise typer.Exit(CONSISTENT if comparison.is_equal else DIFFERS)


@state_app.command()
def repair(  # noqa: PLR0913 - its options are its arguments
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this only what would be done is shown.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done, even with --yes.")] = False,
    from_height: Annotated[
        int | None, typer.Option(min=0, help="Index anew from this block on, whether or not it is good.")
    ] = None,
    replay: Annotated[
        bool,
        typer.Option("--replay/--no-replay", help="Index from the node again what was deleted; or leave it to sync."),
    ] = True,
    from_chain: FromChain = False,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Mend a damaged index: keep the blocks that are good, recompute the state from them, index the rest anew.

    Stop every sync first. Up to the last good block all is done in one transaction, of which readers see nothing before
    it is whole: killed in the middle it leaves the database as it was.

    Exit code 0: nothing to mend, or mended and verified; 1: something is to be mended (without --yes), or could not be
    indexed anew; 2: it cannot be done.

    Examples: simplicity state repair; simplicity state repair --yes; simplicity state repair --yes --from-height 901350
    """
    from indexer.progress import shown  # noqa: PLC0415 - as above
    from indexer.state.display import outcome_lines  # noqa: PLC0415 - the database client is not needed for --help
    from indexer.state.repair import Repair  # noqa: PLC0415 - as above
    from indexer.store.chain import Identity  # noqa: PLC0415 - as above

    with _told(), _node(settings := _load(env_file)) as node:
        if from_height is not None and from_height < settings.START_BLOCK_HEIGHT:
            raise ConfigurationError(
                f"--from-height {from_height}: the index begins at block {settings.START_BLOCK_HEIGHT}"
            )
        work = Repair(
            settings.DATABASE_URL.get_secret_value(),
            Identity.from_settings(settings),
            settings.MAX_REORG_DEPTH,
            shown,
            node if from_chain else None,
        )
        outcome = work.run(from_height, node if replay else None) if yes and not dry_run else work.plan(from_height)
    _print(outcome.as_dict(), outcome_lines(outcome), as_json=as_json)
    raise typer.Exit(CONSISTENT if outcome.is_well else DIFFERS)


@state_app.command()
def export(
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, not standard output.")
    ] = None,
    env_file: EnvFile = None,
) -> None:
    """Write deploys, balances and operations as canonical NDJSON, one consistent snapshot, so that indexers compare.

    Lines are sorted and carry exact amounts; the first line says at which height and state hash it was taken.

    Examples: simplicity state export > a.ndjson; diff a.ndjson b.ndjson
    """
    from indexer.store import export as exporting  # noqa: PLC0415 - the database client is not needed for --help

    with clear_errors():
        url = load(env_file).DATABASE_URL.get_secret_value()
        if output is None:
            exporting.export(url, sys.stdout.buffer)
        else:
            with whole_file(output) as target:
                exporting.export(url, target)


def _load(env_file: Path | None) -> Settings:
    settings = load(env_file)
    log.configure(settings.LOG_LEVEL)
    return settings


@contextmanager
def _node(settings: Settings) -> Iterator[BlockSource]:
    """Open a source of the configured node's blocks; it is not asked anything before it is used."""
    from indexer.bitcoin.rest import block_source  # noqa: PLC0415 - not needed for --help
    from indexer.bitcoin.rpc import RpcClient  # noqa: PLC0415 - as above

    rpc = RpcClient.from_settings(settings)
    try:
        yield block_source(settings, rpc)
    finally:
        rpc.close()


@contextmanager
def _ahead(settings: Settings) -> Iterator[Ahead | None]:
    """Provide processes that prepare blocks; they are started when the first block is wanted."""
    from functools import partial  # noqa: PLC0415 - not needed for --help

    from indexer.sync.ahead import InProcesses  # noqa: PLC0415 - as above
    from indexer.sync.service import preparer  # noqa: PLC0415 - as above

    if not settings.SYNC_WORKERS:
        yield None
        return
    ahead = InProcesses(partial(preparer, settings), settings.SYNC_WORKERS)
    try:
        yield ahead
    finally:
        ahead.close()


@contextmanager
def _told() -> Iterator[None]:
    """Show what keeps a tool from answering as a line; its exit code is not the one that means a difference."""
    from psycopg import DataError  # noqa: PLC0415 - not needed for --help

    from indexer.bitcoin.rpc import NodeError  # noqa: PLC0415 - as above
    from indexer.state.compare import IncomparableError  # noqa: PLC0415 - as above
    from indexer.state.sides import OtherSideError  # noqa: PLC0415 - as above
    from indexer.store.connection import StoreError  # noqa: PLC0415 - as above
    from indexer.sync.ahead import WorkersLostError  # noqa: PLC0415 - as above
    from indexer.sync.follower import WrongNetworkError  # noqa: PLC0415 - as above

    expected = (NodeError, WrongNetworkError, OtherSideError, IncomparableError, WorkersLostError)
    with clear_errors(*expected, unavailable=CANNOT):
        try:
            yield
        except DataError as error:  # a value that PostgreSQL holds and Python does not: a time of `infinity`, say
            raise StoreError(f"a row is too damaged to be read ({error}); restore a backup or index anew") from error


def _print(answer: dict[str, object], lines: list[str], *, as_json: bool) -> None:
    typer.echo(json.dumps(answer, indent=2, ensure_ascii=False) if as_json else "\n".join(lines))
