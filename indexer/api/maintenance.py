"""Maintenance mode: which routes answer an honest 503, until when, and whether kept answers are still given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import psycopg
from psycopg.rows import dict_row

from audit import trail
from audit.entry import entry
from indexer.api.classes import MAINTAINED, RouteClass
from indexer.store.connection import StoreError
from indexer.store.transactions import sensitive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from indexer.store.connection import Connection

CHANNEL = "simplicity_maintenance"


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What operators switched; `retry_after` in seconds."""

    is_on: bool
    message: str
    route_classes: frozenset[RouteClass]
    serve_cached: bool
    retry_after: int

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """Return the row of ops.maintenance; a class that this release does not know is left out."""
        known = frozenset(RouteClass(name) for name in row["route_classes"] if name in MAINTAINED)
        return cls(row["is_on"], row["message"], known, row["serve_cached"], row["retry_after"])

    def covers(self, route_class: RouteClass) -> bool:
        """Say whether requests of a class are turned away."""
        return self.is_on and route_class in self.route_classes

    @property
    def sentence(self) -> str:
        """The switch in a line."""
        if not self.is_on:
            return "maintenance is off"
        kept = ", kept answers are given" if self.serve_cached else ""
        told = f": {self.message}" if self.message else ""
        return f"maintenance is on for {', '.join(sorted(self.route_classes))}{kept}{told}"

    def as_dict(self) -> dict[str, Any]:
        """Return the switch as plain values."""
        return {
            "on": self.is_on,
            "message": self.message,
            "route_classes": sorted(self.route_classes),
            "serve_cached": self.serve_cached,
            "retry_after": self.retry_after,
        }


NOT_ON = Maintenance(is_on=False, message="", route_classes=frozenset(), serve_cached=False, retry_after=60)


def read(connection: Connection) -> Maintenance:
    """Return the switch as the database has it. Raises StoreError where that is too old."""
    try:
        with connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "SELECT is_on, message, route_classes, serve_cached, retry_after FROM ops.maintenance"
            ).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise StoreError("database has no maintenance switch yet; run this release's: simplicity sync") from None
    return Maintenance.of(row) if row else NOT_ON


def write(connection: Connection, wanted: Maintenance) -> bool:
    """Set the switch, tell every API process and the audit trail; False, and nothing, where it stood so already."""

    def change() -> bool:
        found = read(connection)
        if found == wanted:
            return False
        connection.execute(
            "UPDATE ops.maintenance SET is_on = %s, message = %s, route_classes = %s, serve_cached = %s,"
            " retry_after = %s, since = now()",
            (wanted.is_on, wanted.message, sorted(wanted.route_classes), wanted.serve_cached, wanted.retry_after),
        )
        connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
        before, after = ({"maintenance": [each.as_dict()]} for each in (found, wanted))
        said = entry("api.maintenance", "maintenance switch", arguments=wanted.as_dict(), before=before, after=after)
        trail.append(connection, said)
        return True

    return sensitive(connection, change)


def classes_of(names: Iterable[str]) -> frozenset[RouteClass]:
    """Return route classes by name, all that can be switched for none. Raises ValueError naming what there is."""
    chosen = frozenset(names)
    if not chosen:
        return MAINTAINED
    unknown = chosen - MAINTAINED
    if unknown:
        known = ", ".join(sorted(MAINTAINED))
        raise ValueError(f"no such class of routes: {', '.join(sorted(unknown))}; there are {known}")
    return frozenset(RouteClass(name) for name in chosen)
