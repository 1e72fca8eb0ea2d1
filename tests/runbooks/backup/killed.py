"""A process that makes a backup and is killed in the middle of copying: python killed.py DOCUMENT REPOSITORY ID."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from audit.objects import open_store
from infra.environment import load
from runbooks.backup.create import Wanted, create
from runbooks.backup.keys import load_sealing
from runbooks.backup.place import Backups
from runbooks.backup.repository import Repository
from runbooks.backup.source import server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.progress import Advance

_BYTES = 1 << 22


@contextmanager
def dying(_what: str, _total: int) -> Iterator[Advance]:
    def advance(done: int) -> None:
        if done > _BYTES:
            os.kill(os.getpid(), signal.SIGKILL)

    yield advance


def main(document: str, repository: str, backup: str) -> None:
    place = Backups(load(Path(document)))
    with place.source.connected() as connection:
        cluster = server(connection).cluster
    there = Repository(open_store(repository), cluster)
    create(place.source, there, load_sealing(place.keys), Wanted(backup, "full", "local", {}), dying)


if __name__ == "__main__":
    main(*sys.argv[1:])
