"""Whether the index still says of its blocks what was recorded of them outside of the database, looked at bit by bit.

The newest blocks are looked at each time, those that are remembered in turns, and older ones an object of the
repository at a time: what is asked of the database stays small, and everything is looked at again and again. Who
begins knows nothing of what was found before, and hurries until it has looked at everything once.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.objects import MissingObjectError
from indexer import log
from indexer.bitcoin.block import display
from runbooks.backup.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from indexer.store.connection import Connection
    from runbooks.backup.checkpoints import Checkpoint, Log

NEWEST = 100  # blocks that are looked at each time
WINDOW = 100  # of those remembered, in turns
EACH_SECONDS = 1.0
# An object of the repository has a thousand blocks, and may have to be fetched from far away.
OLDER_SECONDS = 60.0
AT_FIRST = 5  # objects that are looked at each time until all were: a whole mainnet takes some minutes
MOST = 1_000  # differing blocks that are kept in mind: after one wrong block all that follow may be wrong

_ROWS = "SELECT height, hash, state_hash, state_digest FROM index.blocks WHERE height = ANY(%(heights)s)"

logger = log.get(__name__)


@dataclass(slots=True)
class Comparison:
    """`differing` has what was recorded of each block, by height, of which the index says something else.

    `is_complete` once everything that is recorded was looked at, none of it refused.
    """

    differing: dict[int, Checkpoint] = field(default_factory=dict)
    is_complete: bool = False
    _looked: float = -math.inf
    _read: float = -math.inf
    _turn: int = 0
    _objects: list[str] = field(default_factory=list)  # that are still to be looked at in this round
    _rounds: int = 0
    _refused: int = 0  # objects of this round

    @property
    def verdict(self) -> float:
        """1 where the index contradicts what was recorded, 0 where it does not, NaN while that is not known."""
        if self.differing:
            return 1.0
        return 0.0 if self.is_complete else math.nan

    def look(self, connection: Connection, recorded: Log) -> None:
        """Compare the next blocks, unless it was done a moment ago. Raises ObjectStoreError."""
        now = time.monotonic()
        if now - self._looked < EACH_SECONDS:
            return
        self._looked = now
        names = self._next(recorded, now)
        older = [each for name in names or () for each in self._of(recorded, name)]
        sample = [*older, *self._window(recorded.last), *recorded.last[-NEWEST:]]
        # What was recorded last of a height is what counts; what differed is looked at until it no longer does.
        self._compare(connection, self.differing | {each.height: each for each in sample})
        if names is not None:
            self._note(len(names))

    def _window(self, remembered: list[Checkpoint]) -> list[Checkpoint]:
        self._turn = self._turn + WINDOW if self._turn + WINDOW < len(remembered) else 0
        # By what stands last in the list of them all: of a height that was recorded twice the other one is no measure.
        last = {each.height: each for each in remembered}
        return [last[each.height] for each in remembered[self._turn : self._turn + WINDOW]]

    def _next(self, recorded: Log, now: float) -> list[str] | None:
        """Return the names of the objects whose turn it is, None while it is nobody's."""
        if now - self._read < (OLDER_SECONDS if self._rounds else 0.0):
            return None
        self._read = now
        if not self._objects:
            self._objects, self._refused = recorded.objects(), 0
        return self._objects[: 1 if self._rounds else AT_FIRST]

    def _of(self, recorded: Log, name: str) -> list[Checkpoint]:
        try:
            return recorded.of(name)
        except (RefusedError, MissingObjectError) as error:
            # Backups and the audit of them say so as well; here the rest is still to be looked at.
            logger.warning("what was recorded of older blocks cannot be trusted", reason=str(error))
            self._refused += 1
            return []

    def _note(self, compared: int) -> None:
        """Go on after so many objects: not before, as the database may fail in between."""
        self._objects = self._objects[compared:]
        if not self._objects:
            self._rounds += 1
            self.is_complete = self.is_complete or not self._refused

    def _compare(self, connection: Connection, sample: dict[int, Checkpoint]) -> None:
        rows = connection.execute(_ROWS, {"heights": list(sample)}).fetchall()
        says = {
            height: (display(block), bytes(state).hex(), bytes(digest).hex()) for height, block, state, digest in rows
        }
        wrong = [each for each in sample.values() if _contradicts(each, says.get(each.height))]
        self._tell([each for each in wrong if each.height not in self.differing])
        self.differing = {each.height: each for each in wrong[:MOST]}

    def _tell(self, news: Iterable[Checkpoint]) -> None:
        for each in sorted(news, key=lambda one: one.height)[:1]:
            logger.error(
                "the index contradicts what was recorded of a block; `simplicity state verify` finds the first that is"
                " wrong",
                height=each.height,
                block=each.block_hash,
                recorded=each.state_hash,
            )


def _contradicts(recorded: Checkpoint, says: tuple[str, str, str] | None) -> bool:
    """Say whether the index has this very block, with another state after it. Another block is a reorg's doing."""
    if says is None or says[0] != recorded.block_hash:
        return False
    return says[1:] != (recorded.state_hash, recorded.state_digest)
