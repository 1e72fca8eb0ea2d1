"""The database: passwords, locks, transactions, rows."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import httpx2
import psycopg

from tests.prove.observability.faults.clients import LIST
from tests.prove.observability.faults.processes import repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.prove.observability.faults.processes import Fault
    from tests.prove.observability.stage import Stage

READ = "index.blocks, index.operations, index.balances, index.deploys"
_skipped = itertools.count(1)  # a question that was not asked before is answered by nothing that is kept


@contextmanager
def revoked_password(stage: Stage) -> Iterator[None]:
    """The reader's password is another one in the database, and its connections are gone."""
    where = stage.environment.endpoints.database
    right = stage.environment.secret("database_reader_password")

    def set_password(password: str) -> None:
        with stage.superuser() as connection:
            literal = psycopg.sql.Literal(password)
            role = psycopg.sql.Identifier(where.reader_role)
            connection.execute(psycopg.sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, literal))
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [where.reader_role]
            )

    set_password("another")
    try:
        yield
    finally:
        set_password(right)


def waiting_queries(*, held: float, free: float, clients: int, every: float) -> Fault:
    """Return the fault that queries wait for a lock on the tables that they read, `held` of `held + free` seconds."""

    def lock(stage: Stage) -> None:
        with stage.superuser() as connection, connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '2s'")
            with suppress(psycopg.errors.LockNotAvailable):
                connection.execute(f"LOCK TABLE {READ} IN ACCESS EXCLUSIVE MODE")
                time.sleep(held)

    def ask(stage: Stage) -> None:
        with suppress(httpx2.HTTPError):
            url, skip = f"{stage.environment.endpoints.api}{LIST}", next(_skipped) % 90_000
            httpx2.get(url, params={"skip": skip}, timeout=15, trust_env=False)

    @contextmanager
    def fault(stage: Stage) -> Iterator[None]:
        with repeated(lock, every=free)(stage), repeated(ask, every=every, threads=clients)(stage):
            yield

    return fault


slow_queries = waiting_queries(held=3.0, free=1.0, clients=40, every=0.05)
# Slower than the objectives, and far from the limits of the alerts that would hide theirs.
slow_answers = waiting_queries(held=0.4, free=0.2, clients=12, every=0.3)


@contextmanager
def writer_blocked(stage: Stage) -> Iterator[None]:
    """A lock lets everybody read blocks and nobody write them."""
    with stage.superuser() as connection, connection.transaction():
        connection.execute("LOCK TABLE index.blocks IN SHARE MODE")
        yield


@contextmanager
def long_transaction(stage: Stage) -> Iterator[None]:
    """A transaction that has written stays open."""
    with stage.superuser() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS public.left_open (id int)")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO public.left_open VALUES (1)")
        yield
        connection.execute("ROLLBACK")
        connection.execute("DROP TABLE public.left_open")


@contextmanager
def deadlock(stage: Stage) -> Iterator[None]:
    """Two transactions take two rows in opposite orders, over and over."""
    with stage.superuser() as connection:
        connection.execute("CREATE TABLE public.two_rows AS SELECT id FROM generate_series(1, 2) AS id")
    both = threading.Barrier(2)

    def cross(first: int, second: int) -> Callable[[Stage], None]:
        def act(_: Stage) -> None:
            ends = (psycopg.errors.DeadlockDetected, threading.BrokenBarrierError)
            with suppress(*ends), stage.superuser() as connection, connection.transaction():
                connection.execute("SET LOCAL deadlock_timeout = '100ms'")
                connection.execute("SELECT FROM public.two_rows WHERE id = %s FOR UPDATE", [first])
                both.wait(5)
                connection.execute("SELECT FROM public.two_rows WHERE id = %s FOR UPDATE", [second])

        return act

    try:
        with repeated(cross(1, 2), every=0.5)(stage), repeated(cross(2, 1), every=0.5)(stage):
            yield
    finally:
        both.abort()
        with stage.superuser() as connection:
            connection.execute("DROP TABLE public.two_rows")


@contextmanager
def dead_rows(stage: Stage) -> Iterator[None]:
    """A table that nobody vacuums is updated over and over."""
    with stage.superuser() as connection:
        connection.execute("CREATE TABLE public.worn (id int, at int) WITH (autovacuum_enabled = off)")
        connection.execute("INSERT INTO public.worn SELECT id, 0 FROM generate_series(1, 20000) AS id")
        try:
            for _ in range(3):
                connection.execute("UPDATE public.worn SET at = at + 1")
            yield
        finally:
            connection.execute("DROP TABLE public.worn")


@contextmanager
def tampered_state(stage: Stage) -> Iterator[None]:
    """The recorded state hash of an indexed block is another one."""
    with stage.superuser() as connection:
        row = connection.execute("SELECT height, state_hash FROM index.blocks ORDER BY height DESC OFFSET 20 LIMIT 1")
        found = row.fetchone()
        assert found is not None
        height, right = found
        change = "UPDATE index.blocks SET state_hash = %s WHERE height = %s"
        connection.execute(change, [bytes(32), height])
        try:
            yield
        finally:
            connection.execute(change, [right, height])
