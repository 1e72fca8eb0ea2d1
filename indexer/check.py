"""Do the settings work: not only their form, but who answers to them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from indexer.bitcoin.rest import block_source
from indexer.bitcoin.rpc import NodeError, RpcClient
from indexer.settings import shown
from indexer.store import schema
from indexer.store.connection import StoreError, StoreUnavailableError, connect, place, require_utf8

if TYPE_CHECKING:
    from indexer.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is well, and one line about it."""

    name: str
    ok: bool
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return asdict(self)


def check(settings: Settings, *, offline: bool) -> list[Finding]:
    """Return the findings, the settings' own form first; no secret is in them."""
    findings = [Finding("settings", ok=True, detail=_summary(settings))]
    if not offline:
        findings += [_database(settings), _node(settings)]
    return findings


def _summary(settings: Settings) -> str:
    database, node = place(settings.DATABASE_URL.get_secret_value()), shown(settings.BITCOIN_RPC_URL)
    network, start = settings.BITCOIN_NETWORK.value, settings.START_BLOCK_HEIGHT
    return f"network {network} from height {start}, database {database}, node {node}"


def _database(settings: Settings) -> Finding:
    try:
        with connect(settings.DATABASE_URL.get_secret_value(), statement_timeout=5) as connection:
            row = connection.execute("SELECT current_user, current_setting('server_version')").fetchone()
            require_utf8(connection)
            found = schema.version(connection)
    except (StoreError, StoreUnavailableError) as error:
        return Finding("database", ok=False, detail=str(error))
    user, server = row or ("", "")
    state = (
        "empty: sync will create the schema" if found is None else f"schema {found}, this release has {schema.head()}"
    )
    return Finding("database", ok=True, detail=f"PostgreSQL {server} as {user}; {state}")


def _node(settings: Settings) -> Finding:
    rpc = RpcClient.from_settings(settings)
    try:
        source = block_source(settings, rpc)
        tip, interface = source.tip(), source.interface()
    except NodeError as error:
        return Finding("node", ok=False, detail=str(error))
    finally:
        rpc.close()
    if tip.chain != settings.BITCOIN_NETWORK:
        wanted = settings.BITCOIN_NETWORK.value
        return Finding(
            "node", ok=False, detail=f"follows {tip.chain}, BITCOIN_NETWORK is {wanted}; correct one of them"
        )
    return Finding("node", ok=True, detail=f"chain {tip.chain}, height {tip.height}; blocks by {interface}")
