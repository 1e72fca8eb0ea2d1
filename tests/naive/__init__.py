"""A second implementation of the protocol: simple, slow, written from docs/protocol.md, sharing no code with `indexer`.

Two code bases that were written apart and agree on random chains prove more than one that agrees with itself. So
nothing here is clever or incremental: blocks are decoded by btclib, the state digest is recomputed from nothing after
each block, and JSON is read by a parser of its own.
"""

from __future__ import annotations

from tests.naive.chain import BlockResult, Result, run
from tests.naive.rules import Row, Token

__all__ = ["BlockResult", "Result", "Row", "Token", "run"]
