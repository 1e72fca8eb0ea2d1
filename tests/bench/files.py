"""How a chain lies on disk."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LEAD = 151  # blocks without traffic at the start of every chain
START_HEIGHT = LEAD + 1

ENTRY = struct.Struct("<32sQIQI")  # a block's hash, offset and size, then offset and size of the scripts it spends
BLOCKS, SPENT, INDEX, FACTS = "blocks.bin", "spent.bin", "index.bin", "facts.json"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a chain holds. `blocks` and all counts are those of the blocks with traffic."""

    shape: str
    seed: int
    blocks: int
    transactions: int
    operations: int
    rejected: int
    addresses: int
    first_seen: int
    size: int
    digest: str
    made_by: str

    @property
    def first_seen_share(self) -> float:
        """First-seen recipients among all addresses of operations."""
        return self.first_seen / max(self.addresses, 1)

    @property
    def height(self) -> int:
        return LEAD + self.blocks


def facts(folder: Path) -> Facts:
    return Facts(**json.loads((folder / FACTS).read_text()))
