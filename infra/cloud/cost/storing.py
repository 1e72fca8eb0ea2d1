"""What tiers that hold data cost: the database and the backups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.cost.running import ROOT_GB
from infra.cloud.cost.usage import DAYS, HOURS

if TYPE_CHECKING:
    from infra.cloud.cost.lines import Book
    from infra.cloud.cost.usage import Usage
    from infra.cloud.settings import DatabaseSettings, Settings

PATRONI_HOSTS, MORE_READERS = 3, 2
# Whole copies in the bucket: weekly ones are read now and then, monthly and yearly ones are moved to a cold class.
WEEKLY, COLD, DAILY_DAYS = 4, 12 + 3, 7
WEEKS = DAYS / 7
# Snapshots that are there at a time: how many, and how many days apart.
KEPT = ((7, 1.0), (4, 7.0), (12, DAYS), (3, 365.0))


def database(book: Book, settings: Settings, usage: Usage) -> None:
    """Count servers, their storage, and backups beyond what Amazon gives for free: as much as the database is large."""
    {"aurora": _aurora, "rds": _rds, "patroni": _patroni}[settings.database.kind](book, settings, usage)


def servers(of: DatabaseSettings) -> int:
    """Return how many servers a database has; RDS' standby is one where the data has to be kept."""
    return {"aurora": 1 + of.readers, "rds": 1 + of.protect, "patroni": PATRONI_HOSTS}[of.kind]


def _aurora(book: Book, settings: Settings, usage: Usage) -> None:
    of = settings.database
    number, name = servers(of), f"aurora.{of.instance_class}"
    book.add("database", f"{number} x Aurora, {of.instance_class}", name, number * HOURS)
    book.add("database", "storage", "aurora.storage", usage.index_gb)
    book.add("database", "requests to the storage", "aurora.io", usage.rows_millions)
    book.add("database", "point-in-time recovery", "aurora.backup", usage.changed_gb * of.backup_days)
    more = MORE_READERS if of.readers else 0
    book.add("database", f"{more} x reader more", name, more * HOURS, when_scaled=True)


def _rds(book: Book, settings: Settings, usage: Usage) -> None:
    of = settings.database
    number = servers(of)
    book.add("database", f"{number} x RDS, {of.instance_class}", f"rds.{of.instance_class}", number * HOURS)
    book.add("database", "storage", "rds.storage", number * of.storage_gb)
    book.add("database", "point-in-time recovery", "rds.backup", usage.changed_gb * of.backup_days)


def _patroni(book: Book, settings: Settings, _: Usage) -> None:
    of = settings.database
    kind = of.instance_class.removeprefix("db.")
    book.hosts("database", "PostgreSQL", kind, servers(of), ROOT_GB + of.storage_gb)


def backups(book: Book, settings: Settings, usage: Usage) -> None:
    """Count where backups lie, here and in another region, and the way there."""
    kinds = {"aurora": _aurora_snapshots, "rds": _rds_snapshots, "patroni": _bucket}
    kinds[settings.database.kind](book, settings, usage)


def _aurora_snapshots(book: Book, settings: Settings, usage: Usage) -> None:
    """Count whole copies, as Aurora's are. Those that point-in-time recovery reaches back to cost nothing here."""
    there, whole, free = settings.backups.replica_region, usage.index_gb, settings.database.backup_days
    paid = sum(max(number - int(free // apart), 0) for number, apart in KEPT)
    book.add("backups", "snapshots", "aurora.backup", paid * whole)
    number = sum(number for number, _ in KEPT)
    book.add("backups", f"copies in {there}", "aurora.backup", number * whole, region=there)
    book.add("backups", f"to {there}", "transfer.region", DAYS * whole)


def _rds_snapshots(book: Book, settings: Settings, usage: Usage) -> None:
    """Count what changed between a snapshot and the next, and in the other region the first one, which is whole.

    Here that one costs nothing: as much as the disk is large.
    """
    there, whole = settings.backups.replica_region, usage.index_gb
    changes = sum(number * min(whole, apart * usage.changed_gb) for number, apart in KEPT)
    book.add("backups", "snapshots", "rds.backup", changes)
    book.add("backups", f"copies in {there}", "rds.backup", whole + changes, region=there)
    book.add("backups", f"to {there}", "transfer.region", DAYS * usage.changed_gb)


def _bucket(book: Book, settings: Settings, usage: Usage) -> None:
    """Count the bucket of a database of our own. What is locked stays, whatever its day."""
    there = settings.backups.replica_region
    whole = usage.index_gb * usage.packed
    daily = usage.changed_gb * usage.packed
    recent = WEEKLY * whole + daily * max(DAILY_DAYS, settings.backups.lock_days)
    book.add("backups", "recent", "s3.storage", recent)
    book.add("backups", "monthly and yearly", "s3.cold", COLD * whole)
    book.add("backups", f"copy in {there}", "s3.rarely", recent + COLD * whole, region=there)
    book.add("backups", f"to {there}", "transfer.region", WEEKS * whole + DAYS * daily)
