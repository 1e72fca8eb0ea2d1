"""What a stage is told and what it tells."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

Figures = dict[str, Any]


class MonitorAddress(msgspec.Struct, frozen=True):
    """Where a process finds a database server's counters."""

    url: str
    pid: int


class Database(msgspec.Struct, frozen=True):
    """A migrated, empty database, and where its server's counters are."""

    url: str
    monitor: MonitorAddress


class NodeAddress(msgspec.Struct, frozen=True):
    """A node with the chain's blocks, and which of its interfaces is asked."""

    url: str
    cookie: str
    interface: str = "rpc"


class Task(msgspec.Struct, frozen=True):
    """A stage's work: a chain's folder, the last height, and what the stage needs beside it."""

    stage: str
    chain: str
    height: int
    database: Database | None = None
    node: NodeAddress | None = None
    working_set: int = 0
    workers: int = 0
    profile: str = ""


class Said(msgspec.Struct, frozen=True):
    """A line from the stage: how far it is (0 to 1), or what it measured."""

    at: float = 0.0
    figures: Figures | None = None


def say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()
