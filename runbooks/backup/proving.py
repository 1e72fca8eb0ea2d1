"""Proof by the domain: a restored database has the state that was recorded outside of it, and goes on from there.

Sizes and checksums tell that bytes came back; this tells that the index did. The restored database itself is only read:
what catches up with the chain is a copy of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
from psycopg import sql

from indexer.bitcoin.block import display
from infra.local.processes import simplicity_command
from runbooks.backup import source as asking
from runbooks.backup.errors import BackupError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from runbooks.backup.checkpoints import Checkpoint
    from runbooks.backup.manifest import Tip

COPY = "simplicity_catching_up"
_SYNC_PATIENCE = 60  # seconds without the node after which it cannot be told
_INHERITED = ("PATH", "HOME", "VIRTUAL_ENV", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG")


class Restored(Protocol):
    """A server on restored files."""

    def url(self, database: str) -> str:
        """Return a connection URL as its superuser."""


@dataclass(frozen=True, slots=True)
class Indexer:
    """How the indexer's own tools are run on a restored database: the env file of its settings, the node's included.

    `enter` goes before the command, where the node is reached from another network only; `settings` are secrets, which
    lie in no file.
    """

    env_file: Path
    database: str
    enter: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    def run(self, url: str, *words: str, deadline: float) -> subprocess.CompletedProcess[str]:
        """Run a command of ours on the database at a URL; `deadline` is monotonic. Raises BackupError."""
        # Decoding the node's blocks is most of the work, and nobody else needs the cores of a second database.
        own = {"LANG": "C.UTF-8", "DATABASE_URL": url, "LOG_LEVEL": "ERROR", "SYNC_WORKERS": str(os.cpu_count() or 1)}
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        try:
            return subprocess.run(
                (*self.enter, *simplicity_command(*words), f"--env-file={self.env_file}"),
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=max(1.0, deadline - time.monotonic()),
                env=inherited | dict(self.settings) | own,
            )
        except subprocess.TimeoutExpired:
            what = " ".join(words[:2])
            raise BackupError(f"`simplicity {what}` has not ended in time; give the proof more") from None


def tip_of(server: Restored, database: str) -> Tip | None:
    """Return where the restored index stands, None where there is none."""
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        return asking.content(connection).tip


def compare_recorded(tip: Tip, recorded: Iterable[Checkpoint]) -> str:
    """Compare the restored tip with what was recorded outside. Raises RefusedError where it differs."""
    found = [each for each in recorded if each.block_hash == tip.block_hash]
    if not found:
        raise RefusedError(
            f"block {tip.height} ({tip.block_hash}) was never recorded outside of the database: nothing to compare with"
        )
    last = found[-1]
    wanted = (last.height, last.state_hash, last.state_digest)
    if (tip.height, tip.state_hash, tip.state_digest) != wanted:
        raise RefusedError(
            f"block {tip.height} is restored with state hash {tip.state_hash} and digest {tip.state_digest},"
            f" but {last.state_hash} and {last.state_digest} were recorded outside"
        )
    return f"block {tip.height} has state hash {tip.state_hash[:16]}... and the digest that were recorded outside"


def run_all(
    server: Restored, indexer: Indexer, tip: Tip, *, deadline: float, tell: Callable[[str], None]
) -> dict[str, str]:
    """Recompute the tables by the node's blocks and let a copy catch up, at once; return what was seen by check.

    `deadline` is monotonic. Raises RefusedError where something does not hold, BackupError where it cannot be told.
    """
    _make_copy(server, indexer.database)
    url, copy = server.url(indexer.database), server.url(COPY)
    with ThreadPoolExecutor(max_workers=2) as pool:
        comparing = pool.submit(_report, "replayed", indexer, url, deadline, "--from-chain")
        seen = {"caught up": pool.submit(_catch_up, indexer, copy, tip, deadline).result()}
        tell(f"caught up: {seen['caught up']}")
        report = comparing.result()
    if _is_on_chain(copy, tip):
        if not report["consistent"]:  # a reorg may have come between: the copy has followed it
            report = _report("replayed", indexer, url, deadline, "--from-chain")
        seen |= _compared(report, tip, "the same hash and digest, and the same rows")
    else:
        # The node has left the restored branch: its tables are recomputed, and its common part is compared in the copy.
        seen |= _compared(_report("recomputed", indexer, url, deadline), tip, "the same hash and digest")
        report = _report("replayed", indexer, copy, deadline, "--from-chain")
        _require_consistent("replayed", report)
        left = f"block {tip.height} was on a branch that the node has left since"
        seen["replayed"] = f"{_counts(report)} of the copy that caught up give the same rows; {left}"
    for name in ("recomputed", "replayed"):
        tell(f"{name}: {seen[name]}")
    _drop_copy(server)
    return seen


def _compared(report: Mapping[str, Any], tip: Tip, what: str) -> dict[str, str]:
    """Require that a report, which has recomputed the tables, comes to the restored tip; return what it saw."""
    name = "replayed" if report["from_chain"] else "recomputed"
    _require_consistent(name, report)
    found = (report["height"], report["state_hash"], report["state_digest"])
    if found != (tip.height, tip.state_hash, tip.state_digest):
        raise RefusedError(f"{name}: block {report['height']} comes to state hash {report['state_hash']}")
    seen = {"recomputed": f"{_counts(report)} of its tables come to {what.partition(',')[0]}"}
    if report["from_chain"]:
        seen["replayed"] = f"the node's blocks up to {tip.height} come to {what}"
    return seen


def _make_copy(server: Restored, database: str) -> None:
    _drop_copy(server)
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        connection.execute(query.format(sql.Identifier(COPY), sql.Identifier(database)))


def _drop_copy(server: Restored) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(COPY)))


def _catch_up(indexer: Indexer, copy: str, tip: Tip, deadline: float) -> str:
    """Let a copy follow the node to its tip, over reorgs since then."""
    done = indexer.run(copy, "sync", "--until", "tip", f"--patience={_SYNC_PATIENCE}", deadline=deadline)
    if done.returncode != 0:
        raise BackupError(f"caught up: cannot be told: {_last(done.stderr)}")
    with psycopg.connect(copy, autocommit=True) as connection:
        now = asking.content(connection).tip
    if now is None:
        raise RefusedError("caught up: the copy has gone back to before its first block")
    return f"from block {tip.height} to the node's tip, block {now.height}, state hash {now.state_hash[:16]}..."


def _is_on_chain(copy: str, tip: Tip) -> bool:
    """Tell whether the restored tip is on the node's chain, and require its state in the copy then."""
    with psycopg.connect(copy, autocommit=True) as connection:
        row = connection.execute(
            "SELECT hash, encode(state_hash, 'hex'), encode(state_digest, 'hex') FROM index.blocks WHERE height = %s",
            (tip.height,),
        ).fetchone()
    if row is None or display(bytes(row[0])) != tip.block_hash:
        return False
    if row[1:] != (tip.state_hash, tip.state_digest):
        raise RefusedError(f"caught up: block {tip.height} has state hash {row[1]}, restored was {tip.state_hash}")
    return True


def _report(name: str, indexer: Indexer, url: str, deadline: float, *options: str) -> dict[str, Any]:
    done = indexer.run(url, "state", "verify", "--json", *options, deadline=deadline)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise BackupError(f"{name}: cannot be told: {_last(done.stderr)}") from None
    return report


def _require_consistent(name: str, report: Mapping[str, Any]) -> None:
    if not report["consistent"]:
        counts = ", ".join(f"{count} of {table}" for table, count in report["counts"].items())
        raise RefusedError(f"{name}: the restored index is wrong from block {report['first_block']} on ({counts})")


def _counts(report: Mapping[str, Any]) -> str:
    return f"{report['blocks']} blocks and {report['operations']} operations"


def _last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1] if lines else "no word"
