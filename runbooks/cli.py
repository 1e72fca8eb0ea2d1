"""The `simplicity` command: every folder brings its own sub-command, loaded only when it is called."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a sub-command lives, which extra carries its dependencies, and its line in the help."""

    target: str
    extra: str
    help: str


# In the order of a first day: bring it up, look at it, work with it, take it down.
MOUNTS: dict[str, Mount] = {
    "up": Mount("infra.local.commands:up", "local", "Bring the whole envelope up on this machine."),
    "status": Mount("infra.local.commands:status", "local", "Show what runs where, the tip and the state hash."),
    "logs": Mount("infra.local.commands:logs", "local", "Show or follow the logs of the envelope."),
    "open": Mount("infra.local.commands:open_", "local", "Open a page of the envelope in the browser."),
    "restart": Mount("infra.local.commands:restart", "local", "Restart components one after the other."),
    "down": Mount("infra.local.commands:down", "local", "Stop the envelope; no process is left."),
    "reset": Mount("infra.local.commands:reset", "local", "Stop the envelope and delete its data."),
    "fleet": Mount("infra.fleet.cli:app", "local", "Boot real Debian hosts on this machine, and fail them."),
    "infrastructure": Mount(
        "runbooks.infrastructure.cli:app",
        "local",
        "Show all tiers of an environment; add hosts, move the database, set settings.",
    ),
    "maintenance": Mount("runbooks.maintenance.cli:app", "local", "Check the health of an environment, back it up."),
    "backup": Mount("runbooks.backup.cli:app", "local", "Make, list, verify, restore and prune backups."),
    "deploy": Mount("runbooks.deploy.cli:app", "fleet", "Build, deploy, promote and roll back releases."),
    "runbook": Mount("runbooks.engine.cli:app", "local", "Show runbooks as pages, and carry them out."),
    "alerts": Mount("alerts.cli:app", "ops", "Show alerts and their rules, silence them for maintenance."),
    "dashboards": Mount("dashboards.cli:app", "ops", "List, draw and generate the dashboards."),
    "loadtest": Mount("loadtests.cli:app", "ops", "Put an environment under the load of its users."),
    "operations": Mount("runbooks.operations.cli:app", "local", "Serve the page for the person on call."),
    "config": Mount("indexer.cli:config_app", "indexer", "Check the indexer's settings."),
    "migrate": Mount("indexer.cli:migrate", "indexer", "Bring the database to this release's schema."),
    "sync": Mount("indexer.cli:sync", "indexer", "Follow the chain and index it."),
    "api": Mount("indexer.cli:api_app", "indexer", "Serve the read API, or switch its maintenance mode."),
    "auth": Mount("indexer.auth.cli:app", "indexer", "Make, list, revoke and rotate API keys and signing keys."),
    "audit": Mount("runbooks.audit.cli:app", "indexer", "Show, verify, export and anchor the trail of who did what."),
    "state": Mount("indexer.state.cli:state_app", "indexer", "Verify, compare, repair and export the state."),
    "snapshot": Mount("indexer.snapshot.cli:app", "indexer", "Create, inspect and restore signed index snapshots."),
    "node": Mount("infra.local.node.cli:node", "local", "Run the regtest node (bitcoind's JSON-RPC)."),
    "traffic": Mount("infra.local.traffic.cli:traffic", "local", "Make a regtest chain live with BRC-20 traffic."),
}


class LazyGroup(TyperGroup):
    """A command group that imports a sub-command only when it is named."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002, ANN401 - the base class fixes the signature
        """Return the names of all sub-commands in the order of the table."""
        return list(MOUNTS)

    def get_command(self, ctx: Any, name: str) -> Any:  # noqa: ANN401 - the base class fixes the signature
        """Return a stand-in for a sub-command: its name and line for the overview."""
        mount = MOUNTS.get(name)
        return super().get_command(ctx, name) if mount is None else typer.main.get_command(_stand_in(name, mount))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - the base class fixes the signature
        """Return the sub-command that is called: only now is it imported."""
        mount = MOUNTS.get(args[0]) if args else None
        if mount is None:
            return super().resolve_command(ctx, args)
        return args[0], _load(args[0], mount), args[1:]


def _stand_in(name: str, mount: Mount) -> typer.Typer:
    app = typer.Typer()
    app.command(name, help=mount.help)(lambda: None)
    return app


def _load(name: str, mount: Mount) -> Any:  # noqa: ANN401 - a click command; typer vendors its own click
    module, attribute = mount.target.split(":")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if _is_ours(error.name):
            raise
        sys.stderr.write(
            f"simplicity {name}: needs the package {error.name!r}; "
            f"install the extra: pip install 'simplicity[{mount.extra}]'\n"
        )
        raise SystemExit(2) from None
    if isinstance(target, typer.Typer):
        command = typer.main.get_command(target)
    else:
        app = typer.Typer()
        app.command(name)(target)
        command = typer.main.get_command(app)
    command.name = name
    return command


OURS = ("alerts", "audit", "dashboards", "indexer", "infra", "loadtests", "runbooks")


def _is_ours(module: str | None, ours: Iterable[str] = OURS) -> bool:
    return (module or "").split(".")[0] in ours


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run a Universal BRC-20 indexer in production, and trust it.\n\nTry: simplicity up, then simplicity status.",
)


@app.callback()
def _root() -> None:
    """Run a Universal BRC-20 indexer in production, and trust it."""


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    app()
