"""A chain of small blocks that lies nowhere: each block, and what it spends, follows from its height.

New tickers and addresses come with every block. Every FORK_EVERY blocks there is a branch that a node shows first and
then gives up. Of all this only the hashes are kept, in one piece that is there from the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Self

from infra.local.node.mining import block_hash, build_block
from infra.local.node.wire import Input, Output, decode_transaction
from infra.local.traffic.ledger import REGTEST_GENESIS, REGTEST_GENESIS_TIME
from infra.local.traffic.tx import op_return
from tests.protocol.building import serialise

FORK_EVERY = 150  # blocks: more than the follower must lack before other processes help it
DEEPEST_FORK = 8
BACK = 20  # blocks that spends reach back: below any fork
MAIN, ORPHAN = 0, 1
_HASH = 32
_SALE = bytes.fromhex("300602010102010183")
_ORDINARY = bytes(64)
_BLOCK_SECONDS = 600


class Spend(NamedTuple):
    """An input, and the script of the output that it spends."""

    spent: Input
    script: bytes


class Made(NamedTuple):
    """A transaction, and the scripts that its inputs spend."""

    raw: bytes
    scripts: tuple[bytes, ...]


@dataclass(frozen=True)
class Chain:
    """The hashes of the blocks from height 1 on: those of the chain, then those of its branches (zeros elsewhere)."""

    blocks: int
    hashes: bytes

    @classmethod
    def make(cls, blocks: int) -> Self:
        hashes = bytearray(2 * blocks * _HASH)
        chain = cls(blocks, memoryview(hashes))  # type: ignore[arg-type]  # it grows while it is made
        for height in range(1, blocks + 1):
            for branch in (ORPHAN, MAIN) if is_forked(height) else (MAIN,):
                at = chain._place(height, branch)
                hashes[at : at + _HASH] = block_hash(chain.raw(height, branch))
        return cls(blocks, bytes(hashes))

    def hash(self, height: int, branch: int) -> bytes:
        at = self._place(height, branch)
        return bytes(self.hashes[at : at + _HASH])

    def find(self, wanted: bytes) -> tuple[int, int]:
        """Return the height and branch of a block."""
        at = self.hashes.find(wanted)
        while at % _HASH:
            at = self.hashes.find(wanted, at + 1)
        branch, height = divmod(at // _HASH, self.blocks)
        return height + 1, branch

    def raw(self, height: int, branch: int) -> bytes:
        """Return a block serialised."""
        previous = REGTEST_GENESIS
        if height > 1:
            stays = branch == ORPHAN and is_forked(height - 1)
            previous = self.hash(height - 1, ORPHAN if stays else MAIN)
        txs = [made.raw for made in transactions(height, branch)]
        time = REGTEST_GENESIS_TIME + height * _BLOCK_SECONDS
        return build_block(previous, height, time, b"\x51", txs, extra=bytes([branch]))

    def _place(self, height: int, branch: int) -> int:
        return (branch * self.blocks + height - 1) * _HASH


def fork_depth(height: int) -> int:
    """Return how many blocks the branch has that ends at this height, 0 where none does."""
    return 0 if height % FORK_EVERY else 1 + height // FORK_EVERY % DEEPEST_FORK


def is_forked(height: int) -> bool:
    """Tell whether there are two blocks of this height."""
    end = -(-height // FORK_EVERY) * FORK_EVERY
    return height > end - fork_depth(end)


def transactions(height: int, branch: int) -> list[Made]:
    """Return a block's transactions after the coinbase: eight operations, one of them invalid, and ten balances."""
    ticker, old = _ticker(height, branch), _ticker(height - BACK, MAIN)
    minted = _mint(ticker)
    made = [
        _make([_nobodys(ticker, "deployer")], [_say("deploy", ticker, m="1000", l="100")]),
        minted,
        _make([_paid_by(minted, ticker)], [_transfer(ticker, 30), _new(ticker, "friend")]),
        _make([_nobodys(ticker, "joker")], [_say("wrap", ticker, amt="1"), _new(ticker, "nobody")]),
    ]
    if height > BACK:
        steps = [part for n in range(3) for part in (_transfer(old, 20), _new(ticker, f"heir {n}"))]
        made.append(_make([_paid_by(_mint(old), old)], steps))
        seller = [Spend(_input(f"{ticker} seller {n}", _SALE), _new(old, "owner")) for n in range(2)]
        buyers = [_nobodys(ticker, name) for name in ("buyer", "other buyer")]
        made.append(_make([*seller, *buyers], [_transfer(old, 5), _new(ticker, "buyer's")]))
    return made


def _ticker(height: int, branch: int) -> str:
    return f"{height:x}.{branch}"


def _mint(ticker: str) -> Made:
    return _make([_nobodys(ticker, "miner")], [_say("mint", ticker, amt="100"), _new(ticker, "owner")])


def _new(ticker: str, name: str) -> bytes:
    """Return the script of somebody whom nobody has seen before."""
    digest = sha256(f"{name} {ticker}".encode()).digest()
    return b"\x51\x20" + digest if digest[0] % 2 else b"\x00\x14" + digest[:20]


def _say(op: str, ticker: str, **amounts: str) -> bytes:
    rest = ",".join(f'"{name}":"{amount}"' for name, amount in amounts.items())
    return op_return(f'{{"p":"brc-20","op":"{op}","tick":"{ticker}",{rest}}}'.encode())


def _transfer(ticker: str, amount: int) -> bytes:
    return _say("transfer", ticker, amt=str(amount))


def _input(name: str, signature: bytes = _ORDINARY) -> Input:
    """Return an input that spends what no transaction made."""
    return Input(sha256(name.encode()).digest(), 0, b"", 0, (signature,))


def _nobodys(ticker: str, name: str) -> Spend:
    return Spend(_input(f"{ticker} {name}"), _new(ticker, name))


def _paid_by(mint: Made, ticker: str) -> Spend:
    """Spend what a mint paid to the ticker's owner."""
    return Spend(Input(decode_transaction(mint.raw).txid, 1, b"", 0, (_ORDINARY,)), _new(ticker, "owner"))


def _make(spends: list[Spend], scripts: list[bytes]) -> Made:
    raw = serialise([spend.spent for spend in spends], [Output(546, script) for script in scripts])
    return Made(raw, tuple(spend.script for spend in spends))
