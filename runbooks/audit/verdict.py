"""What is known about a trail after it was examined, for people and machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.anchor import Head
    from audit.chain import Forgery

INTACT, FORGED, UNKNOWN = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """`entries`: how many the trail has; `anchor`: where its copy is, None without one; `head`: how far it goes."""

    entries: int
    anchor: str | None
    head: Head | None
    forgeries: tuple[Forgery, ...]

    @property
    def code(self) -> int:
        """The exit code: 0 intact, 1 forged, 2 where an anchor was given that holds nothing."""
        if self.forgeries:
            return FORGED
        return UNKNOWN if self.anchor and self.head is None else INTACT

    @property
    def sentences(self) -> list[str]:
        """What is known, a line each."""
        lines = [forgery.sentence for forgery in self.forgeries]
        if self.forgeries:
            lines.append(f"the trail was FORGED: {len(self.forgeries)} found in {self.entries} entries")
        elif self.code == INTACT:
            lines.append(f"the trail is intact: {self.entries} entries")
        if self.anchor is None:
            lines.append(
                "no anchor was given: that entries were cut off at the end, or the whole chain was hashed anew, cannot"
                " be told; give --anchor or AUDIT_ANCHOR_URL"
            )
        elif self.head is None:
            lines.append(
                f"cannot tell: nothing of this trail is anchored at {self.anchor}; for the first time, run: simplicity"
                " audit anchor; else somebody took it away, or --trail is wrong"
            )
        elif self.entries > self.head.seq:
            lines.append(f"anchored up to entry {self.head.seq}; what is newer rests on the chain alone")
        else:
            lines.append(f"anchored up to entry {self.head.seq}")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain values."""
        return {
            "status": ("intact", "forged", "unknown")[self.code],
            "entries": self.entries,
            "anchor": self.anchor,
            "anchored_to": self.head.seq if self.head else None,
            "forgeries": [
                {"kind": each.kind, "first": each.seq, "last": each.last, "detail": each.detail}
                for each in self.forgeries
            ],
        }
