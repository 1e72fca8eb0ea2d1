"""The audit trail: who did what, each entry with the hash of the one before it."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
kind = "expand"


def upgrade() -> None:
    """Create it."""
    op.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))
