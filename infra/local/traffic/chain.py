"""Random chains without a node: the same traffic, only in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.traffic.ledger import MAINNET_MARKETPLACE_HEIGHT, MATURITY, REGTEST_GENESIS_TIME, Ledger
from infra.local.traffic.producer import Produced, Producer
from infra.local.traffic.wallet import make_wallet

if TYPE_CHECKING:
    from infra.local.traffic.desk import Label

START_HEIGHT = 1
_SPACING = 600
# Ten years behind the genesis block: old enough for any clock, and no block is from the future.
_START_TIME = REGTEST_GENESIS_TIME + 315_360_000


class OfflineChain:
    """A regtest chain that grows and forks in memory, from height 1 on regtest's genesis block.

    With the default `maturity` Core's own code accepts every block; with 0 the coinbases are spent at once, which
    saves a hundred empty blocks where only the rules of BRC-20 matter.
    """

    def __init__(
        self, seed: int | str, *, maturity: int = MATURITY, marketplace_height: int = MAINNET_MARKETPLACE_HEIGHT
    ) -> None:
        """Begin with the empty blocks that the first payment needs."""
        self.blocks: list[bytes] = []
        self.labels: dict[bytes, Label] = {}
        self.played: list[str] = []
        ledger = Ledger(make_wallet(seed), maturity=maturity, marketplace_height=marketplace_height)
        self._producer = Producer(seed, ledger, 0)
        for _ in range(max(maturity, 1)):
            self._keep(self._producer.empty(self._time))

    @property
    def ledger(self) -> Ledger:
        """Our coins and the light model of the tokens at the tip."""
        return self._producer.ledger

    @property
    def height(self) -> int:
        """The height of the last block."""
        return self.ledger.height

    def extend(self, blocks: int, operations: int) -> list[bytes]:
        """Add blocks with `operations` scenarios each on average; return them."""
        self._producer.operations = operations
        for _ in range(blocks):
            self._keep(self._producer.next(self._time))
        return self.blocks[len(self.blocks) - blocks :]

    def fork(self, depth: int, blocks: int, operations: int, name: str = "fork") -> list[bytes]:
        """Give up the last `depth` blocks and grow another branch in their place; return its blocks.

        Of the operations that were lost some are mined again, some are dropped and some conflict with what replaces
        them. Raises ValueError for a depth that the chain does not have.
        """
        if not 0 <= depth < len(self.blocks):
            raise ValueError(f"the chain of {len(self.blocks)} blocks has no fork {depth} blocks deep")
        producer = self._producer
        producer.operations = operations
        lost = [producer.ledger.rewind() for _ in range(depth)]
        del self.blocks[len(self.blocks) - depth :]
        again = producer.replacements([raw for block in reversed(lost) for raw in block], name)
        for _ in range(blocks):
            self._keep(producer.next(self._time, again=again, branch=name))
            again = []
        return self.blocks[len(self.blocks) - blocks :]

    @property
    def _time(self) -> int:
        return _START_TIME + (self.height + 1) * _SPACING

    def _keep(self, block: Produced) -> None:
        self.blocks.append(block.raw)
        self.labels.update(block.labels)
        self.played.extend(block.played)


def random_chain(
    seed: int | str,
    blocks: int,
    operations: int,
    *,
    maturity: int = MATURITY,
    marketplace_height: int = MAINNET_MARKETPLACE_HEIGHT,
) -> tuple[int, list[bytes]]:
    """Return (height of the first block, raw blocks): the empty ones first, then `blocks` with traffic.

    The same arguments always give the same bytes.
    """
    chain = OfflineChain(seed, maturity=maturity, marketplace_height=marketplace_height)
    chain.extend(blocks, operations)
    return START_HEIGHT, chain.blocks
