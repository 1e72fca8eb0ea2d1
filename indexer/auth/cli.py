"""`simplicity auth`: API keys, the ring that signs tokens, and why a credential is refused."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer import log
from indexer.auth.principal import Role, Scope  # noqa: TC001 - as above
from indexer.command import EnvFile, clear_errors
from indexer.settings import ConfigurationError, Settings, load

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from indexer.auth.keys import Digester
    from indexer.auth.ring import Ring

ACCEPTED, REFUSED, CANNOT = 0, 1, 2

_LONGEST_NAME = 100
_MOST_BYTES = 20_000  # of a credential on standard input
_LEAST_DELAY = 5  # seconds: a process looks at the file once a second
_LONGEST_DELAY = 604_800

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The 12 digits after sk_, as `keys list` shows them.")]

app = typer.Typer(no_args_is_help=True, help="Who may call the API: keys, tokens, and why one is refused.")
keys_app = typer.Typer(no_args_is_help=True, help="API keys: create, list, revoke, rotate.")
ring_app = typer.Typer(no_args_is_help=True, help="The ring of keys that sign tokens (AUTH_KEY_RING).")
app.add_typer(keys_app, name="keys")
app.add_typer(ring_app, name="ring")


@keys_app.command("create")
def keys_create(
    *,
    name: Annotated[str, typer.Option(help="Whose key it is, for people.")],
    role: Annotated[Role, typer.Option(help="reader: read; operator: operate too; admin: everything.")],
    expires: Annotated[
        str | None, typer.Option(help="When it ends: 90d, 24h, 15m, 60s from now; default: never.")
    ] = None,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Make an API key and show it, this once: only its digest is kept. The API knows it within a second.

    Exit code 0: made; 1: the database is away; 2: a setting or an option is wrong.

    Examples: simplicity auth keys create --name wallet --role reader --expires 90d;
    simplicity auth keys create --name on-call --role operator --json
    """
    from indexer.auth import store  # noqa: PLC0415 - the database client is not needed for --help
    from indexer.auth.display import line, shown  # noqa: PLC0415 - as above
    from indexer.auth.times import duration  # noqa: PLC0415 - as above

    with _errors():
        settings = _load(env_file)
        lifetime = None if expires is None else duration("--expires", expires)
        with store.opened(_url(settings)) as connection:
            key, record = store.create(connection, _digester(settings), name=_name(name), role=role, lifetime=lifetime)
    text = f"{key}\n{line(record)}\nkeep it: it is not shown again"
    _print({"key": key} | shown(record), text, as_json=as_json)


@keys_app.command("list")
def keys_list(*, as_json: AsJson = False, env_file: EnvFile = None) -> None:
    """List all API keys in the order in which they were made, ended ones too; never a secret.

    Exit code 0: listed; 1: the database is away; 2: a setting is wrong.

    Example: simplicity auth keys list --json
    """
    from indexer.auth import store  # noqa: PLC0415 - the database client is not needed for --help
    from indexer.auth.display import line, shown  # noqa: PLC0415 - as above

    with _errors(), store.opened(_url(_load(env_file))) as connection:
        records = store.listed(connection)
    text = "\n".join(line(record) for record in records)
    _print([shown(record) for record in records], text or "there are no keys", as_json=as_json)


@keys_app.command("revoke")
def keys_revoke(key_id: KeyId, *, as_json: AsJson = False, env_file: EnvFile = None) -> None:
    """End a key and its tokens for good. The API refuses them within a second.

    Exit code 0: revoked, now or earlier; 1: the database is away; 2: no such key, or a setting is wrong.

    Example: simplicity auth keys revoke 3f9a1c5b7d20
    """
    from indexer.auth import store  # noqa: PLC0415 - the database client is not needed for --help
    from indexer.auth.display import line, shown  # noqa: PLC0415 - as above

    with _errors(), store.opened(_url(_load(env_file))) as connection:
        record = store.revoke(connection, _id(key_id))
    _print(shown(record), line(record), as_json=as_json)


@keys_app.command("rotate")
def keys_rotate(
    key_id: KeyId,
    *,
    overlap: Annotated[str, typer.Option(help="How long the old key stays valid at most: 24h, 15m, 0s.")] = "24h",
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Make a key of the same name, role and lifetime, show it this once, and let the old one end after the overlap.

    Exit code 0: made; 1: the database is away; 2: no such key, it has ended, or a setting or option is wrong.

    Example: simplicity auth keys rotate 3f9a1c5b7d20 --overlap 24h
    """
    from indexer.auth import store  # noqa: PLC0415 - the database client is not needed for --help
    from indexer.auth.display import line, shown  # noqa: PLC0415 - as above
    from indexer.auth.times import duration  # noqa: PLC0415 - as above

    with _errors():
        settings = _load(env_file)
        seconds = duration("--overlap", overlap)
        with store.opened(_url(settings)) as connection:
            key, new, old = store.rotate(connection, _digester(settings), _id(key_id), overlap=seconds)
    text = f"{key}\n{line(new)}\nkeep it: it is not shown again; the old one:\n{line(old)}"
    _print({"key": key} | shown(new) | {"old": shown(old)}, text, as_json=as_json)


@ring_app.command("create")
def ring_create(*, as_json: AsJson = False, env_file: EnvFile = None) -> None:
    """Make the file AUTH_KEY_RING with one new key (Ed25519), mode 0600; every API host needs the same file.

    Exit code 0: made; 2: there is one already, or it cannot be written.

    Example: AUTH_KEY_RING=/etc/simplicity/ring.json simplicity auth ring create
    """
    from indexer.auth import display, ring, ring_audit, ring_file  # noqa: PLC0415 - cryptography is not needed for --help

    with _errors():
        settings = _load(env_file)
        path = _ring_path(settings)
        made = ring.create(time.time())
        ring_file.create(path, made)
        line = ring_audit.recorded(path, _url(settings), "create", {}, (None, made))
    _warn(line)
    _print(*display.ring(made, f"{path}: made; keep it secret"), as_json=as_json)


@ring_app.command("rotate")
def ring_rotate(
    *,
    delay: Annotated[
        int,
        typer.Option(
            min=_LEAST_DELAY,
            max=_LONGEST_DELAY,
            help="Seconds until the new key signs: by then less 10 s every API host must have the file.",
        ),
    ] = 60,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="The ring was stolen: drop the old keys, refuse all tokens that are out.")
    ] = False,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Add a new key to the ring; copy the file to every API host then. No process needs a restart.

    The old key signs until the delay is over, and its tokens are accepted until the last one has run out: no valid
    token is refused. AUTH_TOKEN_SECONDS has to be that of the API hosts.

    Exit code 0: rotated; 2: the ring is damaged or cannot be written, or a setting is wrong.

    Examples: simplicity auth ring rotate --delay 600; simplicity auth ring rotate --at-once
    """
    from indexer.auth import display, ring, ring_audit  # noqa: PLC0415 - cryptography is not needed for --help

    def altered(old: Ring) -> Ring:
        now = time.time()
        if at_once:
            return ring.create(now)
        return ring.rotated(old, now, delay=delay, token_seconds=settings.AUTH_TOKEN_SECONDS)

    with _errors():
        settings = _load(env_file)
        path = _ring_path(settings)
        told = {"delay": delay, "at_once": at_once}
        new, line = ring_audit.changed(path, _url(settings), "rotate", told, altered)
    _warn(line)
    within = "now" if at_once else f"within {max(0, delay - ring.LEEWAY)} seconds"
    _print(*display.ring(new, f"{path}: rotated; every API host needs this file {within}"), as_json=as_json)


@ring_app.command("show")
def ring_show(*, as_json: AsJson = False, env_file: EnvFile = None) -> None:
    """Show the keys of the ring and what each does; never a private key.

    Exit code 0: shown; 2: the ring is damaged, missing, or open to others.

    Example: simplicity auth ring show --json
    """
    from indexer.auth import display, ring_file  # noqa: PLC0415 - cryptography is not needed for --help

    with _errors():
        path = _ring_path(_load(env_file))
        found = ring_file.load(path)
    _print(*display.ring(found, f"{path}:"), as_json=as_json)


@ring_app.command("prune")
def ring_prune(*, as_json: AsJson = False, env_file: EnvFile = None) -> None:
    """Remove keys whose last token has run out; `rotate` does it too.

    Exit code 0: done, or nothing to do; 2: the ring is damaged or cannot be written.

    Example: simplicity auth ring prune
    """
    from indexer.auth import display, ring, ring_audit  # noqa: PLC0415 - cryptography is not needed for --help

    with _errors():
        settings = _load(env_file)
        path = _ring_path(settings)
        new, line = ring_audit.changed(path, _url(settings), "prune", {}, lambda old: ring.pruned(old, time.time()))
    _warn(line)
    _print(*display.ring(new, f"{path}:"), as_json=as_json)


@app.command()
def inspect(
    credential: Annotated[str, typer.Argument(metavar="TOKEN", help="An API key or a token; - reads it from stdin.")],
    *,
    scope: Annotated[Scope | None, typer.Option(help="Ask for this scope too.")] = None,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Say whether the API accepts a key or token, and if not why: form, signature, time, unknown, revoked or scope.

    Give `-` and the secret on standard input: an argument is seen by every process of the machine.

    Exit code 0: accepted; 1: refused; 2: it cannot be told.

    Example: simplicity auth inspect - --scope operate --json < token
    """
    from indexer.auth.inspection import inspect as inspecting  # noqa: PLC0415 - not needed for --help

    with _errors(unavailable=CANNOT):
        text = credential if credential != "-" else sys.stdin.buffer.read(_MOST_BYTES).decode("ascii", "replace")
        verdict = inspecting(text.strip().removeprefix("Bearer ").strip(), _load(env_file), scope)
    _print(verdict.as_dict(), verdict.as_text(), as_json=as_json)
    raise typer.Exit(REFUSED if verdict.reason else ACCEPTED)


def _errors(*, unavailable: int = 1) -> AbstractContextManager[None]:
    from indexer.auth.store import KeyUnusableError  # noqa: PLC0415 - not needed for --help

    return clear_errors(KeyUnusableError, unavailable=unavailable)


def _load(env_file: Path | None) -> Settings:
    settings = load(env_file)
    log.configure(settings.LOG_LEVEL)
    return settings


def _url(settings: Settings) -> str:
    return settings.DATABASE_URL.get_secret_value()


def _digester(settings: Settings) -> Digester:
    from indexer.auth.keys import Digester  # noqa: PLC0415 - not needed for --help

    if settings.AUTH_PEPPER is None:
        raise ConfigurationError(
            "AUTH_PEPPER is not set: give what the API hosts have; for the first time, make it: openssl rand -base64 32"
        )
    return Digester(settings.AUTH_PEPPER.get_secret_value())


def _ring_path(settings: Settings) -> Path:
    if settings.AUTH_KEY_RING is None:
        raise ConfigurationError("AUTH_KEY_RING is not set: say where the key ring is, like /etc/simplicity/ring.json")
    return settings.AUTH_KEY_RING


def _warn(line: str) -> None:
    if line:
        typer.echo(f"simplicity: {line}", err=True)


def _name(name: str) -> str:
    if not 0 < len(name.strip()) <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise ConfigurationError(f"--name: must be 1 to {_LONGEST_NAME} printable characters")
    return name


def _id(text: str) -> str:
    from indexer.auth.keys import is_id  # noqa: PLC0415 - not needed for --help

    if not is_id(text):  # which may be a whole key: it is not repeated
        raise ConfigurationError("ID must be the 12 digits that `keys list` shows, those after sk_ in a key")
    return text


def _print(answer: Any, text: str, *, as_json: bool) -> None:  # noqa: ANN401 - JSON
    typer.echo(json.dumps(answer, indent=2, ensure_ascii=False) if as_json else text)
