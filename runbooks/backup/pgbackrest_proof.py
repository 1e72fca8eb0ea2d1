"""Proof of what was restored on a host, by the same measures as everywhere: the index, the chain, the trail."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from indexer.bitcoin.block import display
from infra.environment import EnvironmentFileError
from runbooks.backup import operating, proving
from runbooks.backup import source as asking
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.remote_scratch import USER
from runbooks.drivers.relay import relayed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from infra.environment import Environment
    from runbooks.backup.manifest import Tip
    from runbooks.backup.remote_scratch import RemoteScratch

_BLOCK = (
    "SELECT encode(hash, 'hex') || ' ' || encode(state_hash, 'hex') || ' ' || encode(state_digest, 'hex')"
    " FROM index.blocks WHERE height = {height}"
)
_ENTRY = "SELECT encode(hash, 'hex') FROM ops.audit WHERE seq = {seq}"


@dataclass(slots=True)
class Proof:
    """One restore on a host and what it came to; `live` asks the database that leads.

    What is live is the measure of the restored tip: it is another copy of the same blocks, which went another way.
    """

    environment: Environment
    scratch: RemoteScratch
    live: Callable[[str], str]
    tell: Callable[[str], None]
    tip: Tip | None = None
    lost: list[str] = field(default_factory=list)

    @property
    def database(self) -> str:
        """The database that is proven."""
        return self.environment.endpoints.database.name

    def brief(self, words: Sequence[str], *, within: float) -> dict[str, str]:
        """Restore, start, and compare tip and trail with what is live; raises RefusedError where they differ."""
        deadline = time.monotonic() + within
        with self._restored(words, deadline) as server:
            return self._compared(server)

    def whole(self, words: Sequence[str], *, within: float) -> dict[str, str]:
        """Do as brief() does, recompute the tables, compare them with the node's blocks, and let a copy catch up."""
        deadline = time.monotonic() + within
        with self._restored(words, deadline) as server:
            seen = self._compared(server)
            compared, self.lost = operating.compare(server.url(self.database), None, "")
            seen |= compared
            if self.tip is not None:
                with self._indexer() as indexer:
                    seen |= proving.run_all(server, indexer, self.tip, deadline=deadline, tell=self.tell)
            return seen

    @contextmanager
    def _restored(self, words: Sequence[str], deadline: float) -> Iterator[RemoteScratch]:
        self.tell(f"restores on {self.scratch.host}")
        self.scratch.fetch(words, within=max(1.0, deadline - time.monotonic()))
        self.tell("recovers")
        self.scratch.start(within=max(1.0, deadline - time.monotonic()))
        try:
            with relayed(self.scratch.remote, self.scratch.host, USER, self.scratch.socket) as relay:
                yield replace(self.scratch, relay=relay)
        except psycopg.OperationalError as error:
            raise BackupError(f"the restored server went away: {' '.join(str(error).split())}; try again") from error

    def _compared(self, server: RemoteScratch) -> dict[str, str]:
        with psycopg.connect(server.url(self.database), autocommit=True) as connection:
            content = asking.content(connection)
        self.tip = content.tip
        if content.owner is not None and content.owner.network != self.environment.network:
            raise RefusedError(f"the backup is of {content.owner}, this is {self.environment.network}")
        seen = {"recorded": self._tip_is_live(), "trail": "the database has no entry of the trail"}
        if content.audit is not None:
            if self.live(_ENTRY.format(seq=content.audit.seq)).strip() != content.audit.hash:
                raise RefusedError(f"entry {content.audit.seq} of the restored trail is not that of the live one")
            seen["trail"] = f"{content.audit.seq} entries, whose last hash is the live trail's"
        self.tell(seen["recorded"])
        return seen

    def _tip_is_live(self) -> str:
        tip = self.tip
        if tip is None:
            return "the index was empty"
        live = self.live(_BLOCK.format(height=tip.height)).split()
        if not live or display(bytes.fromhex(live[0])) != tip.block_hash:
            return f"block {tip.height} is restored; the live index has left its branch"
        if live[1:] != [tip.state_hash, tip.state_digest]:
            raise RefusedError(f"block {tip.height} is restored with state hash {tip.state_hash}, live is {live[1]}")
        return f"block {tip.height} has state hash {tip.state_hash[:16]}... and the digest of the live index"

    @contextmanager
    def _indexer(self) -> Iterator[proving.Indexer]:
        """Provide the indexer's tools of this machine, which reach the node as the hosts do."""
        environment, hosts = self.environment, self.environment.drivers["hosts"].settings
        settings = {
            "BITCOIN_NETWORK": environment.network,
            "BITCOIN_RPC_URL": environment.endpoints.node_rpc,
            "START_BLOCK_HEIGHT": str(environment.start_height),
            "CLUSTER_NAME": environment.name,
        }
        secrets = {}
        node = environment.drivers.get("node")
        if node is not None and "user" in node.settings:
            settings["BITCOIN_RPC_USER"] = node.settings["user"]
            try:
                secrets["BITCOIN_RPC_PASSWORD"] = environment.secret(node.settings["secret"])
            except EnvironmentFileError as error:
                raise BackupError(f"the node cannot be asked: {error}") from None
        enter = ("nsenter", f"--net={hosts['network']}") if "network" in hosts else ()
        with tempfile.TemporaryDirectory(prefix="simplicity-proof-") as folder:
            env_file = Path(folder) / "indexer.env"
            env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
            yield proving.Indexer(env_file, self.database, enter, secrets)
