"""The filled database server, kept between runs as files; a run works on a copy."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from indexer.store import schema
from infra.local.components.postgresql import binary
from tests.bench.api import data
from tests.bench.cluster import DurableCluster
from tests.bench.progress import Progress
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

DATABASE = "brc20"


@contextmanager
def filled(cache: Path, folder: Path, shape: data.Shape) -> Iterator[DurableCluster]:
    """Run a server on a copy, in `folder`, of the filled one, which is made now where it is not in `cache`."""
    copy = folder / "postgresql"
    shutil.copytree(_kept(cache, shape), copy)
    with DurableCluster(copy, free_port()) as cluster:
        cluster.start()
        yield cluster


def _kept(cache: Path, shape: data.Shape) -> Path:
    name = f"api-{shape.operations}"
    kept = cache / f"{name}-{_made_by(shape)}"
    if kept.is_dir():
        return kept
    for outdated in cache.glob(f"{name}-*"):
        shutil.rmtree(outdated)
    with Progress(f"filling a database with {shape.operations:,} operations", 1):
        cluster = DurableCluster.create(cache)
        try:
            _fill(cluster, shape)
            cluster.stop()
            cluster.directory.rename(kept)
        except BaseException:
            cluster.stop()
            shutil.rmtree(cluster.directory)
            raise
    return kept


def _fill(cluster: DurableCluster, shape: data.Shape) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    url = cluster.url(DATABASE)
    schema.migrate(url)
    data.fill(url, shape)


def _made_by(shape: data.Shape) -> str:
    """Name all that decides what is in the files."""
    migrations = sorted(Path(str(schema.__file__)).with_name("migrations").glob("versions/*.sql"))
    texts = [Path(file).read_bytes() for file in (data.__file__, __file__, *map(str, migrations))]
    version = subprocess.run([binary("postgres"), "--version"], check=True, capture_output=True).stdout
    return sha256(b"".join((*texts, version, repr(asdict(shape)).encode()))).hexdigest()[:16]
