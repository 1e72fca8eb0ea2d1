"""`simplicity node`: run the regtest node until it is told to stop."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import sys
import threading
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import structlog
import typer

from infra.local.node.methods_control import table
from infra.local.node.node import Node
from infra.local.node.rest import Rest
from infra.local.node.rpc import Dispatcher
from infra.local.node.server import Credentials, RpcServer, bound_port
from infra.local.signals import set_at_the_end

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXIT_SETUP = 2
_EXIT_FAILED = 1
_DRAIN_SECONDS = 5
_COOKIE_USER = "__cookie__"


def node(  # noqa: PLR0913 - one parameter an option
    *,
    data_dir: Annotated[Path, typer.Option(help="Where blocks, indexes and the cookie live.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 18443,
    rpc_user: Annotated[str, typer.Option(help="User name beside the cookie's.")] = "",
    rpc_password: Annotated[
        str, typer.Option(envvar="BITCOIN_RPC_PASSWORD", help="That user's password; best given by the environment.")
    ] = "",
    txindex: Annotated[bool, typer.Option(help="Find any transaction by its txid, as bitcoind -txindex.")] = True,
    rest: Annotated[
        bool, typer.Option(help="Serve blocks by REST too, without credentials, as bitcoind -rest.")
    ] = False,
) -> None:
    """Run a regtest node that speaks bitcoind's JSON-RPC; every block is validated by Bitcoin Core's own code.

    It has no peers and no wallet: blocks come by submitblock, generatetoaddress, generateblock and reorg (ours).

    The cookie DATA_DIR/.cookie opens it, as does --rpc-user with its password. The method `help` lists all methods.

    Exit codes: 0 stopped by a signal or the method `stop`; 1 the chain cannot be opened; 2 bad options, port or data.

    Examples:
    simplicity node --data-dir .simplicity/local/node

    BITCOIN_RPC_PASSWORD=secret simplicity node --data-dir /tmp/node --port 0 --rpc-user me

    simplicity node --data-dir /tmp/node --rest &  curl http://127.0.0.1:18443/rest/chaininfo.json

    curl -u "$(cat /tmp/node/.cookie)" -d '{"method": "getblockcount"}' http://127.0.0.1:18443/
    """
    if bool(rpc_user) != bool(rpc_password):
        _fail("a user needs a password and the other way round: --rpc-user and BITCOIN_RPC_PASSWORD, or neither")
    log = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
    )
    with _locked(data_dir):
        serve(data_dir, (host, port), f"{rpc_user}:{rpc_password}" if rpc_user else "", log, txindex=txindex, rest=rest)


def serve(  # noqa: PLR0913 - what the options say
    data_dir: Path,
    address: tuple[str, int],
    login: str,
    log: Any,  # noqa: ANN401 - structlog's logger has no public type
    *,
    txindex: bool,
    rest: bool,
) -> None:
    """Run the node on a locked data directory until a signal or the stop method ends it."""
    stopping = threading.Event()
    set_at_the_end(stopping)

    def failed(what: str, error: Exception) -> None:
        log.error("method failed", method=what, error=repr(error))

    dispatcher = Dispatcher(table(stopping.set), failed)
    with _cookie(data_dir / ".cookie") as cookie:
        accepted = tuple(item.encode() for item in (cookie, login) if item)
        try:
            server = RpcServer(address, dispatcher, Credentials(accepted), Rest(dispatcher, failed) if rest else None)
        except OSError as error:
            _fail(f"cannot listen on {address[0]}:{address[1]} ({error.strerror}): choose another --host or --port")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        log.info("listening", host=address[0], port=bound_port(server), data_dir=str(data_dir))
        try:
            _run(data_dir, dispatcher, stopping, log, txindex=txindex)
        finally:
            server.shutdown()
            # The answer to `stop` itself is still on its way.
            server.drain(_DRAIN_SECONDS)
            server.server_close()
    log.info("stopped")


def _run(data_dir: Path, dispatcher: Dispatcher, stopping: threading.Event, log: Any, *, txindex: bool) -> None:  # noqa: ANN401 - as above
    try:
        opened = Node(data_dir, transaction_index=txindex, warn=log.warning, stopping=stopping.is_set)
    except (sqlite3.DatabaseError, LookupError) as error:
        _fail(f"{data_dir}: the block database is damaged ({error}): delete the directory and start again")
    except (OSError, RuntimeError) as error:
        _fail(f"cannot open the chain in {data_dir} ({error}): check the disk's space and permissions", _EXIT_FAILED)
    if not stopping.is_set():
        dispatcher.node = opened
        log.info("ready", height=opened.store.height())
    stopping.wait()
    dispatcher.node = None
    opened.close()


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Hold the data directory: the kernel would damage one that two processes write."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        _fail(f"cannot use {data_dir} as data directory ({error.strerror}): choose another --data-dir")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        _fail(f"another node runs on {data_dir}: stop it, or choose another --data-dir")
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _cookie(path: Path) -> Iterator[str]:
    """Write a fresh login for whoever may read the file, and remove it at the end."""
    login = f"{_COOKIE_USER}:{secrets.token_hex(32)}"
    partial = path.with_name(f"{path.name}.tmp")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(login)
    # Renamed when complete: a client that polls for the file never reads half of it.
    partial.replace(path)
    try:
        yield login
    finally:
        path.unlink(missing_ok=True)


def _fail(message: str, code: int = _EXIT_SETUP) -> NoReturn:
    sys.stderr.write(f"simplicity node: {message}\n")
    raise typer.Exit(code)
