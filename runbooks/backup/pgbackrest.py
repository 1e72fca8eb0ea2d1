"""The backup engine of hosts: pgBackRest on the database server that leads, and proofs on one that does not.

What is known of a backup lies with it in the repository, as annotations; the operation that made it, too, so that
whoever goes on after a killed process finds it. A proof that was cut off begins anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from indexer.progress import quiet
from runbooks.backup import pgbackrest_info as info
from runbooks.backup.errors import BackupError
from runbooks.backup.pgbackrest_proof import Proof
from runbooks.backup.remote_scratch import ROOT, USER, RemoteScratch
from runbooks.backup.target import parse
from runbooks.drivers.operations import carried_out
from runbooks.drivers.patroni_api import Patroni
from runbooks.drivers.protocols import Operation, Refusal
from runbooks.drivers.remote import Remote, RemoteError, as_user

if TYPE_CHECKING:
    from indexer.progress import Progress
    from infra.environment import Environment
    from runbooks.backup.manifest import Tip
    from runbooks.backup.target import Target
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.patroni_api import Server
    from runbooks.drivers.protocols import BackupInfo, BackupKind, Json

NAME = KIND = "pgbackrest"
CREATE_SECONDS, RESTORE_SECONDS, ASK_SECONDS = 6 * 3600.0, 6 * 3600.0, 60.0
# What a restore cannot reach is archived at last: within the archive's own time.
ARCHIVE_SECONDS = 70.0
POLL_SECONDS = 2.0
# pgBackRest's words for: another process makes a backup or expires some at this moment.
_BUSY = "unable to acquire lock"
_TIP = """\
SELECT to_regclass('index.chain') IS NOT NULL AS there \\gset
\\if :there
SELECT tip_height || ' ' || encode(tip_hash, 'hex') FROM index.chain;
\\endif
"""
_ARCHIVED = "SELECT coalesce(last_archived_wal, '') >= '{wanted}' FROM pg_stat_archiver"

Work = Callable[["PgBackRestEngine", Operation], "tuple[str, Mapping[str, Json]]"]


def pgbackrest_engine(environment: Environment, store: OperationStore) -> PgBackRestEngine:
    """Return the engine of an environment; nothing is asked of its hosts yet."""
    return PgBackRestEngine(environment, store, Remote(environment))


@dataclass(slots=True)
class PgBackRestEngine:
    """Implements BackupEngine. `progress` and `tell` hear how far the work is that this process does.

    Methods raise Refusal for what is asked wrongly, BackupError where hosts or the repository cannot be used.
    """

    environment: Environment
    store: OperationStore
    remote: Remote
    progress: Progress = quiet
    tell: Callable[[str], None] = field(default=lambda _: None)
    within: float = RESTORE_SECONDS
    cluster: str | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do."""
        return frozenset({*info.TYPES, "point-in-time", "encrypted"})

    @property
    def stanza(self) -> str:
        """The name under which the repository knows the cluster."""
        return self.environment.drivers["backup"].settings["stanza"]

    @property
    def repository(self) -> str:
        """Where backups lie, for a person."""
        settings = self.environment.drivers["backup"].settings
        return f"s3://{settings['bucket']}/{self.stanza} of {settings['host']}"

    def create(self, key: str, kind: BackupKind) -> Operation:
        """Begin a backup; the result's `backup` is its id."""
        if kind not in info.TYPES:
            raise Refusal(f"there are no {kind} backups; there are {', '.join(info.TYPES)}")
        return self._begin(key, "create", self.environment.name, {"kind": kind})

    def verify(self, key: str, backup: str) -> Operation:
        """Begin to read a backup to the last byte, and to restore it on a host that does not lead, as it is."""
        return self._begin(key, "verify", backup, {})

    def restore(self, key: str, backup: str | None, target: str) -> Operation:
        """Begin to restore into a second database, and to prove it; the result's `folder` has its files."""
        try:
            wanted = parse(target)
        except ValueError as error:
            raise Refusal(str(error)) from None
        if wanted.kind not in {"latest", "time"}:
            raise Refusal("pgBackRest restores to the latest moment or to a time; say latest, or a time with its zone")
        return self._begin(key, "restore", backup or "", {"to": target})

    def prune(self, key: str) -> Operation:
        """Begin to remove what retention no longer wants."""
        return self._begin(key, "prune", self.environment.name, {})

    def backups(self) -> list[BackupInfo]:
        """Return all backups, oldest first."""
        return [each.backup() for each in self._made()]

    def archive_now(self, within: float) -> str:
        """Let the leader archive what is not archived yet, so that a restore can reach this moment.

        Return what came of it: a server that cannot archive is no error, but may be why there is a restore.
        """
        leader = self._leader()
        wanted = self._sql(leader, "SELECT pg_walfile_name(pg_switch_wal() - 1)", "postgres").strip()
        ends = time.monotonic() + within
        while time.monotonic() < ends:
            if self._sql(leader, _ARCHIVED.format(wanted=wanted), "postgres").strip() == "t":
                return f"all WAL up to {wanted} is archived"
            time.sleep(POLL_SECONDS)
        return f"{leader} has not archived {wanted} within {within:.0f} s: the restore ends before it"

    def discard(self, run: str) -> None:
        """Delete the files of every restore that a run has begun, on whichever host."""
        for folder in self.left(run):
            host, _, path = folder.partition(":")
            RemoteScratch(self.remote, host, self.stanza, path.rpartition("/")[2]).remove()

    def left(self, run: str) -> list[str]:
        """Return the folders of restores of a run that are there still, each after its host."""
        return [
            f"{host.name}:{ROOT}/{key}"
            for host in self.remote.hosts("database")
            for key in self._ask(host.name, "ls", "-1", ROOT).split()
            if key == run or key.startswith(f"{run}-")
        ]

    def poll(self, key: str) -> Operation:
        """Do the work of an operation unless another process is at it, and return how it stands."""
        return carried_out(self.store, NAME, key, self._work, (BackupError, RemoteError))

    def _begin(self, key: str, action: str, target: str, arguments: Mapping[str, Json]) -> Operation:
        return self.store.begin(key, driver=NAME, action=action, target=target, arguments=arguments)

    def _work(self, operation: Operation) -> tuple[str, Mapping[str, Json]]:
        return WORK[operation.action](self, operation)

    def _create(self, operation: Operation) -> tuple[str, Mapping[str, Json]]:
        kind: Any = operation.arguments["kind"]
        ends, began = time.monotonic() + min(self.within, CREATE_SECONDS), time.monotonic()
        leader = self._leader()
        while (made := self._made_by(operation.key)) is None:
            height, _, block_hash = self._sql(leader, _TIP).strip().partition(" ")
            notes = {info.OPERATION: operation.key}
            if height:
                notes |= {info.HEIGHT: height, info.HASH: bytes.fromhex(block_hash)[::-1].hex()}
            words = [f"--annotation={name}={value}" for name, value in notes.items()]
            try:
                self._pgbackrest(leader, f"--type={info.TYPES[kind]}", *words, "backup", within=ends - time.monotonic())
            except RemoteError as error:
                if _BUSY not in str(error) or time.monotonic() > ends:
                    raise
                self.tell("waits: another backup is being made")
                time.sleep(POLL_SECONDS)
        backup = made.backup()
        saved = round(1 - backup.size / max(1, backup.data_size), 3)
        at = "" if backup.tip_height is None else f", block {backup.tip_height}"
        sentence = f"{backup.id}: {backup.size / 1e6:.1f} MB, {saved:.0%} less than the data{at}"
        return sentence, {
            "backup": backup.id,
            "kind": backup.kind,
            "seconds": round(time.monotonic() - began, 2),
            "size": backup.size,
            "data_size": backup.data_size,
            "saved": saved,
        }

    def _verify(self, operation: Operation) -> tuple[str, Mapping[str, Json]]:
        made = self._made()
        chain = info.chain(made, operation.target)
        if not chain:
            raise BackupError(f"there is no backup {operation.target}; `simplicity backup list` shows what there is")
        leader = self._leader()
        self.tell("reads it to the last byte")
        wal_files = 0
        for label in chain:
            said = self._pgbackrest(
                leader, f"--set={label}", "--output=text", "--verbose", "verify", within=self.within
            )
            wal_files = info.verified(said, label)
        words = (f"--set={operation.target}", "--type=immediate", "--target-action=promote")
        proof = self._proof(operation.key)
        try:
            seen = proof.brief(words, within=self.within)
        finally:
            proof.scratch.remove()
        self._note_proven(operation.target, proof.tip)
        sentence = f"{operation.target} is whole, with {wal_files} WAL files, and restores: {seen['recorded']}"
        return sentence, {"backup": operation.target, "chain": chain, "wal_files": wal_files, "checks": seen}

    def _restore(self, operation: Operation) -> tuple[str, Mapping[str, Json]]:
        began, target = time.monotonic(), parse(str(operation.arguments["to"]))
        made = [each.backup() for each in self._made()]
        chosen = self._chosen(made, operation.target, target)
        words = [f"--set={chosen.id}"]
        self.tell(self.archive_now(ARCHIVE_SECONDS))
        if target.moment is None:
            words.append("--type=default")
        else:
            words += [
                "--type=time",
                "--target-action=promote",
                f"--target={target.moment.strftime('%Y-%m-%d %H:%M:%S.%f')[:-3]}+00",
            ]
        self.tell(f"from {chosen.id} to {target}")
        proof = self._proof(operation.key)
        try:
            checks = proof.whole(words, within=self.within)
        except BaseException:
            proof.scratch.stop()
            raise
        proof.scratch.stop()
        self._note_proven(chosen.id, None)  # its tip is that of the target, not of the backup
        seconds = round(time.monotonic() - began, 2)
        folder = f"{proof.scratch.host}:{proof.scratch.folder}"
        at = "an empty index" if proof.tip is None else f"block {proof.tip.height}"
        sentence = f"{chosen.id} restored to {at} and proven in {seconds:.1f} s: {folder}"
        tip: Json = None if proof.tip is None else {"height": proof.tip.height, "block_hash": proof.tip.block_hash}
        result: dict[str, Json] = {"backup": chosen.id, "target": str(target), "folder": folder, "tip": tip}
        return sentence, {**result, "checks": checks, "lost": proof.lost, "seconds": seconds}

    def _prune(self, _: Operation) -> tuple[str, Mapping[str, Json]]:
        before = [each.label for each in self._made()]
        self._pgbackrest(self._leader(), "expire", within=min(self.within, CREATE_SECONDS))
        kept = [each.label for each in self._made()]
        removed = [label for label in before if label not in kept]
        sentence = f"{len(removed)} backups removed, {len(kept)} stay"
        return sentence, {"removed": removed, "kept": kept, "wal_files": 0, "sentence": sentence}

    @staticmethod
    def _chosen(made: list[BackupInfo], wanted: str, target: Target) -> BackupInfo:
        if wanted:
            made = [each for each in made if each.id == wanted]
        if target.moment is not None:
            made = [each for each in made if datetime.fromisoformat(each.ended_at) <= target.moment]
        if not made:
            which = f"there is no backup {wanted} that leads" if wanted else "no backup leads"
            raise BackupError(f"{which} to {target}; `simplicity backup list` shows what there is")
        return made[-1]

    def _note_proven(self, label: str, tip: Tip | None) -> None:
        notes = {info.PROVEN: datetime.now(UTC).isoformat(timespec="seconds")}
        if tip is not None:
            notes |= {info.HEIGHT: str(tip.height), info.HASH: tip.block_hash}
        words = [f"--annotation={name}={value}" for name, value in notes.items()]
        self._pgbackrest(self._leader(), f"--set={label}", *words, "annotate")

    def _proof(self, key: str) -> Proof:
        host = next((each.name for each in self._servers() if each.well and not each.leads), None)
        if host is None:
            host = self._leader()
            self.tell(f"there is no standby: {host}, which leads, has to bear the proof")
        scratch = RemoteScratch(self.remote, host, self.stanza, key)
        return Proof(self.environment, scratch, lambda sql: self._sql(self._leader(), sql), self.tell)

    def _leader(self) -> str:
        """Return the host that is written to, as it is at this moment."""
        there = self._servers()
        leader = next((each.name for each in there if each.leads and each.well), None)
        if leader is None:
            seen = ", ".join(f"{each.name} is {each.role} ({each.state})" for each in there)
            raise BackupError(f"no database server leads: {seen}; `patronictl list` on one of them tells more")
        return leader

    def _servers(self) -> list[Server]:
        try:
            return Patroni(self.environment).servers()
        except RemoteError as error:
            raise BackupError(str(error)) from None

    def _made_by(self, operation: str) -> info.Made | None:
        return next((each for each in self._made() if each.annotation.get(info.OPERATION) == operation), None)

    def _made(self) -> list[info.Made]:
        """Ask any host for the repository's backups: it is theirs together."""
        failure: RemoteError | None = None
        for host in self.remote.hosts("database"):
            try:
                return info.read(self._pgbackrest(host.name, "--output=json", "info"), self.stanza)
            except RemoteError as error:
                failure = error
        raise BackupError(f"the repository cannot be read: {failure}")

    def _pgbackrest(self, host: str, *words: str, within: float = ASK_SECONDS) -> str:
        return self.remote.run(host, as_user(USER, "pgbackrest", f"--stanza={self.stanza}", *words), within=within)

    def _sql(self, host: str, sql: str, database: str = "") -> str:
        name = database or self.environment.endpoints.database.name
        return self._ask(host, "psql", "-XAtq", "--set=ON_ERROR_STOP=1", f"--dbname={name}", stdin=sql)

    def _ask(self, host: str, *argv: str, stdin: str | None = None) -> str:
        try:
            return self.remote.run(host, as_user(USER, *argv), stdin)
        except RemoteError as error:
            raise BackupError(str(error)) from None


WORK: dict[str, Work] = {
    "create": PgBackRestEngine._create,  # noqa: SLF001 - this table is the class's own
    "verify": PgBackRestEngine._verify,  # noqa: SLF001
    "restore": PgBackRestEngine._restore,  # noqa: SLF001
    "prune": PgBackRestEngine._prune,  # noqa: SLF001
}
