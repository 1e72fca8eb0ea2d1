"""Bring a backup back as a second database: fetch and check everything first, then let PostgreSQL recover."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import IO, TYPE_CHECKING

from indexer.progress import quiet
from infra.local.components.postgresql import binary
from runbooks.backup import wal
from runbooks.backup.create import read_list
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.scratch import restore_command
from runbooks.backup.sealed import unseal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from indexer.progress import Progress
    from runbooks.backup.keys import Opening
    from runbooks.backup.manifest import Manifest, Part
    from runbooks.backup.repository import Repository
    from runbooks.backup.scratch import Scratch
    from runbooks.backup.target import Plan

DATA, WAL = "data", "wal"
PROGRAM_SECONDS = 3_600
# What a cluster that was copied while it ran holds of that life only.
_RECOVERY = "recovery.signal"


def fetch(repository: Repository, plan: Plan, opening: Opening, folder: Path, progress: Progress = quiet) -> int:
    """Put the database's files into `folder`/data and the WAL that it needs into `folder`/wal; return files of WAL.

    What an earlier attempt has left there is replaced. Every byte is checked against what was signed when it was made.
    Raises RefusedError for what is damaged, missing or forged, BackupError for a full disk and the like.
    """
    for name in (DATA, WAL, "parts"):
        shutil.rmtree(folder / name, ignore_errors=True)
    try:
        # WAL first: what is missing there is seen before anything large is fetched.
        count = _fetch_wal(repository, plan, opening, folder / WAL, progress)
        _fetch_files(repository, repository.chain(plan.backup, opening.trusted), opening, folder, progress)
    except OSError as error:
        raise BackupError(f"{folder}: {error.strerror}; a restore needs the space of the database there") from error
    return count


def _fetch_wal(repository: Repository, plan: Plan, opening: Opening, target: Path, progress: Progress) -> int:
    target.mkdir(mode=0o700)
    archived = wal.names(repository)
    ancestry = wal.histories(repository, archived, opening)
    found = wal.way(archived, plan.backup, ancestry, timeline=plan.timeline, until=plan.last)
    wal.require_unbroken(found.lost, plan.backup)
    histories = [name for name in archived if name.endswith(".history")]
    with progress("fetching WAL", len(found.there)) as advance:
        for number, name in enumerate([*histories, *found.there]):
            wal.fetch(repository, name, target / name, opening)
            advance(number)
    return len(found.there)


def _fetch_files(
    repository: Repository, chain: Sequence[Manifest], opening: Opening, folder: Path, progress: Progress
) -> None:
    parts = [folder / "parts" / backup.id for backup in chain]
    with progress("fetching files", sum(backup.base.content_size for backup in chain)) as advance:
        done = 0
        for backup, part in zip(chain, parts, strict=True):
            part.mkdir(mode=0o700, parents=True)
            _unpack(repository, backup, backup.base, opening, part)
            if (part / "backup_manifest").read_bytes() != read_list(repository, backup):
                raise RefusedError(f"{backup.id} holds another list of files than it was made with; use another backup")
            done += backup.base.content_size
            advance(done)
    if len(parts) == 1:
        parts[0].rename(folder / DATA)
    else:
        _run("pg_combinebackup", *map(str, parts), f"--output={folder / DATA}")
        # What came out of several was signed by nobody; of one alone every byte was checked on its way here.
        _run("pg_verifybackup", "--no-parse-wal", "--quiet", str(folder / DATA))
    shutil.rmtree(folder / "parts", ignore_errors=True)
    (folder / DATA / _RECOVERY).touch()


def _unpack(repository: Repository, backup: Manifest, part: Part, opening: Opening, target: Path) -> None:
    """Unpack a part into a directory. Raises RefusedError where it is damaged, BackupError where tar fails."""
    command = ["tar", "--extract", "--file=-", "--no-same-owner", "--directory", str(target)]
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8"}
    name = f"{part.name} of {backup.id}"
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    try:
        assert running.stdin is not None  # noqa: S101 # nosec B101 - it was asked for above
        with repository.reading(backup.id, part.name) as source:
            unseal(source, running.stdin, part.sums, opening.identity, name=name)
        _, said = running.communicate(timeout=60)
    except BrokenPipeError:
        _, said = running.communicate(timeout=60)
        raise BackupError(f"{name} cannot be unpacked: {_last(said)}") from None
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
        _close(running.stdin, running.stderr)
    if running.returncode != 0:
        raise BackupError(f"{name} cannot be unpacked: {_last(said)}")


def _close(*pipes: IO[bytes] | None) -> None:
    for pipe in pipes:
        if pipe is not None and not pipe.closed:
            try:
                pipe.close()
            except BrokenPipeError:
                continue


def _last(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "no reason given"


def _run(program: str, *arguments: str) -> None:
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8"}
    command = [binary(program), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, timeout=PROGRAM_SECONDS, env=environment)
    if done.returncode != 0:
        raise RefusedError(f"{program}: {_last(done.stderr or done.stdout)}; use another backup")


def recover(server: Scratch, plan: Plan, folder: Path, *, within: float) -> None:
    """Let the server recover to the target, and take writes from then on; begun before, it goes on.

    Raises RefusedError where it does not get there.
    """
    own = {"restore_command": restore_command(folder / WAL), "recovery_target_action": "promote"}
    server.start(own | plan.settings if (server.data / _RECOVERY).exists() else {}, within=within)


def read_configuration(repository: Repository, backup: Manifest, opening: Opening, target: Path) -> list[str]:
    """Put the configuration of a backup, secrets included, into a new directory of mode 0700; return the names."""
    try:
        target.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise BackupError(f"{target} exists already; choose a new directory") from None
    except OSError as error:
        raise BackupError(f"{target}: {error.strerror}; choose another directory") from None
    _unpack(repository, backup, backup.configuration, opening, target)
    return sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
