"""`simplicity traffic`: make a regtest chain live."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import Annotated, Any, NoReturn

import typer

from infra.local.signals import set_at_the_end
from infra.local.traffic.generator import CannotRunError, Generator, Plan, RefusedError
from infra.local.traffic.ledger import MAINNET_MARKETPLACE_HEIGHT, Ledger
from infra.local.traffic.producer import Producer
from infra.local.traffic.rpc import AccessDeniedError, Endpoint, Rpc
from infra.local.traffic.wallet import make_wallet

_EXIT_SETUP = 2
_EXIT_REFUSED = 1


def traffic(  # noqa: PLR0913 - one parameter an option
    *,
    rpc_url: Annotated[str, typer.Option(envvar="BITCOIN_RPC_URL", help="The node.")] = "http://127.0.0.1:18443",
    rpc_user: Annotated[str, typer.Option(envvar="BITCOIN_RPC_USER", help="User name.")] = "",
    rpc_password: Annotated[
        str, typer.Option(envvar="BITCOIN_RPC_PASSWORD", help="Password; best given by the environment.")
    ] = "",
    rpc_cookie_file: Annotated[
        Path | None, typer.Option(envvar="BITCOIN_RPC_COOKIE_FILE", help="The node's cookie, instead of a user.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0, help="Blocks a second: 0.1 is one every 10 s, 0 no pause at all.")] = 1,
    ops: Annotated[int, typer.Option(min=0, help="Operations a block on average.")] = 8,
    seed: Annotated[str, typer.Option(help="Decides the keys and everything that is done.")] = "simplicity",
    blocks: Annotated[int | None, typer.Option(min=1, help="Stop after so many blocks; endless without it.")] = None,
    reorg_every: Annotated[int, typer.Option(min=0, help="Reorganise after every so many blocks; 0: never.")] = 0,
    reorg_depth: Annotated[int, typer.Option(min=1, max=200, help="How many blocks such a reorg replaces.")] = 1,
    reorg: Annotated[
        int | None, typer.Option(min=1, max=200, help="Replace so many blocks now, once, and exit.")
    ] = None,
    marketplace_height: Annotated[
        int,
        typer.Option(envvar="MARKETPLACE_TRANSFER_BLOCK_HEIGHT", help="As the indexer's: which sales are well formed."),
    ] = MAINNET_MARKETPLACE_HEIGHT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Mine blocks full of BRC-20 operations, valid and invalid, on a regtest chain.

    A wallet of a dozen people, all keys from --seed, deploys, mints, transfers, sells and pays, and makes every
    mistake that people make; what others put into the mempool is mined too. The first run mines 100 empty blocks at
    once, so that there are coins to spend. A restart reads the chain and goes on. Stop it with Ctrl-C or SIGTERM.

    It works the same against our node and a real `bitcoind -regtest`: it only uses calls that both have, mines its
    own blocks, and hands them in by submitblock, so no mempool policy stands in the way.

    Exit codes: 0 finished or stopped, 1 the node refuses our blocks, 2 the options, the login or the chain are no good.

    Examples:
    simplicity traffic --rpc-cookie-file .simplicity/local/node/.cookie --rate 0.5 --reorg-every 20 --reorg-depth 3

    simplicity traffic --rpc-cookie-file ~/.bitcoin/regtest/.cookie --blocks 100 --rate 0   # bitcoind -regtest

    BITCOIN_RPC_PASSWORD=secret simplicity traffic --rpc-user me --reorg 6   # one reorg, now
    """
    stop = threading.Event()
    set_at_the_end(stop)
    rpc = Rpc(Endpoint(rpc_url, rpc_user, rpc_password, rpc_cookie_file))
    ledger = Ledger(make_wallet(seed), marketplace_height=marketplace_height)
    generator = Generator(rpc, Producer(seed, ledger, ops), stop, _print_json if as_json else _print_text)
    try:
        if reorg is not None:
            generator.reorganise(reorg)
        else:
            generator.run(Plan(rate, blocks, reorg_every, reorg_depth))
    except (CannotRunError, AccessDeniedError) as error:
        _fail(str(error), _EXIT_SETUP)
    except RefusedError as error:
        _fail(str(error), _EXIT_REFUSED)
    finally:
        rpc.close()


def _print_json(event: str, facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


def _print_text(event: str, facts: dict[str, Any]) -> None:
    match event:
        case "block":
            played = ", ".join(f"{name} {count}" if count > 1 else name for name, count in facts["played"].items())
            line = f"block {facts['height']}: {facts['transactions']} transactions: {played or 'nothing'}"
        case "reorg":
            line = f"reorg of {facts['depth']} blocks: from {facts['fork_height'] + 1} on, new tip {facts['height']}"
        case "waiting":
            line = f"waiting: {facts['reason']}; trying until it answers"
        case "scan":
            line = f"reading the chain: {facts['height']} of {facts['of']} blocks"
        case "warm-up":
            line = f"mined {facts['blocks']} empty blocks for coins to spend, height {facts['height']}"
        case _:
            line = "the node is back"
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"simplicity traffic: {message}\n")
    raise typer.Exit(code)
