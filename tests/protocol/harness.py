"""Both implementations in one shape, and vectors run through them without a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from infra.local.node.mining import block_hash, build_block
from tests import naive
from tests.protocol.building import holder_address
from tests.support import ours

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from indexer.protocol.model import Deploy
    from tests.protocol.building import BuiltVector
    from tests.protocol.vectors import Vector

START_HEIGHT = 300
_GENESIS_TIME = 1_700_000_000
_NOBODYS_SCRIPT = b"\x51"


class BlockOutcome(Protocol):
    """What an implementation says about one block."""

    @property
    def height(self) -> int: ...
    @property
    def events(self) -> list[bytes]: ...
    @property
    def events_hash(self) -> bytes: ...
    @property
    def state_hash(self) -> bytes: ...
    @property
    def state_digest(self) -> int: ...


@dataclass(frozen=True)
class Outcome:
    """What an implementation says about a chain; amounts in units, `deploys` as `Deployed`."""

    blocks: Sequence[BlockOutcome]
    balances: Mapping[tuple[str, str], int]
    deploys: Mapping[str, Deployed]


@dataclass(frozen=True)
class Deployed:
    """A deployed ticker; amounts in units, `deployer` None for nobody."""

    maximum: int
    limit: int | None
    minted: int
    height: int
    txid: str
    deployer: str | None


def run(
    name: str,
    blocks: Sequence[bytes],
    prevouts: Callable[[bytes, int], bytes],
    *,
    start_height: int = START_HEIGHT,
    network: str = "regtest",
    marketplace_height: int = 0,
) -> Outcome:
    """Run the implementation `name` ("naive" or "ours") over raw blocks."""
    module: Any = {"naive": naive, "ours": ours}[name]
    result = module.run(blocks, start_height, prevouts, network=network, marketplace_height=marketplace_height)
    return Outcome(result.blocks, result.balances, {tick: _deployed(found) for tick, found in result.deploys.items()})


def _deployed(found: naive.Token | Deploy) -> Deployed:
    if isinstance(found, naive.Token):
        return Deployed(found.maximum, found.limit, found.minted, found.height, found.txid, found.deployer)
    txid = found.txid[::-1].hex()
    return Deployed(found.max_supply, found.limit_per_mint, found.minted, found.height, txid, found.deployer)


def run_vector(name: str, vector: Vector, built: BuiltVector) -> Outcome:
    """Run a vector's blocks, the first at START_HEIGHT."""
    return run(
        name,
        raw_blocks(built),
        lambda txid, vout: built.scripts[txid, vout],
        network=vector.network,
        marketplace_height=START_HEIGHT + vector.marketplace_from,
    )


def raw_blocks(built: BuiltVector) -> list[bytes]:
    """Return the vector's blocks as a chain that begins in the middle of nowhere."""
    blocks: list[bytes] = []
    for height, block in enumerate(built.blocks, START_HEIGHT):
        previous = block_hash(blocks[-1]) if blocks else bytes(32)
        script = _NOBODYS_SCRIPT if block.coinbase is None else block.coinbase
        blocks.append(build_block(previous, height, _GENESIS_TIME + height, script, block.transactions))
    return blocks


def expected_balances(vector: Vector) -> dict[tuple[str, str], int] | None:
    """Return the balances that the vector pins, in units, or None."""
    if vector.balances is None:
        return None
    return {
        (ticker, holder_address(holder, vector.network)): units(amount)
        for ticker, holders in vector.balances.items()
        for holder, amount in holders.items()
    }


def units(amount: str) -> int:
    """Return "1.5" as a number of 10^-8."""
    whole, _, fraction = amount.partition(".")
    return int(whole) * 10**8 + int(fraction.ljust(8, "0"))
