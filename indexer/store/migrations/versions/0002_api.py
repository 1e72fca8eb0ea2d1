"""What the API reads beyond the index: keys, maintenance, orphaned blocks; indexes by address."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
kind = "expand"


def upgrade() -> None:
    """Create them."""
    op.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))
