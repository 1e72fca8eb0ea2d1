"""What can be wrong with a snapshot."""

from __future__ import annotations


class SnapshotError(Exception):
    """A snapshot cannot be trusted or made: one line that says what is wrong and what to do."""
