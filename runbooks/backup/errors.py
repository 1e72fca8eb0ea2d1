"""What keeps a backup from being made, believed or restored."""

from __future__ import annotations


class BackupError(Exception):
    """Something an operator has to know: one line that says what is wrong and what to do."""


class RefusedError(BackupError):
    """What lies in the repository is not to be trusted: damaged, incomplete, forged, or of another cluster."""
