"""The protocol's vectors: their form, and how they are read. tests/vectors/README.md describes the form in words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from tests.protocol.building import BuiltVector, offline_funding
from tests.protocol.building import build as build_specs
from tests.protocol.specs import BlockSpec, TxSpec, read_block, read_transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.protocol.building import Fund

FOLDER = Path(__file__).parents[1] / "vectors"
GIVEN = "given.yaml"
# Vectors that do not care run under the later template: the stricter one, and the one that rules today.
NEVER = 1_000_000
_KEYS = frozenset(
    {
        "id",
        "accepts",
        "rejects",
        "given",
        "tx",
        "txs",
        "blocks",
        "balances",
        "deploys",
        "hashes",
        "network",
        "marketplace_from",
        "offline",
        "why",
    }
)


@dataclass(frozen=True)
class Vector:
    """One case.

    `accepts` and `rejects` are the ids of the rules of docs/protocol.md that it shows letting through or keeping out.
    `given` says how many of `blocks`, at the start, only prepare it. `marketplace_from` is the index of the block from
    which the later template of rule 7.2c applies. `offline` is the reason why it cannot run through a node, or empty.
    `balances` (ticker to holder to amount) and `hashes` are None where the vector does not pin them.
    """

    id: str
    accepts: tuple[str, ...]
    rejects: tuple[str, ...]
    given: int
    blocks: tuple[BlockSpec, ...]
    balances: Mapping[str, Mapping[str, str]] | None
    deploys: Mapping[str, Mapping[str, str]] | None
    hashes: tuple[Mapping[str, str], ...] | None
    network: str
    marketplace_from: int
    offline: str

    @property
    def transactions(self) -> tuple[TxSpec, ...]:
        """The transactions that the vector is about."""
        return tuple(tx for block in self.blocks[self.given :] for tx in block.transactions)


@cache
def load() -> tuple[Vector, ...]:
    """Return all vectors; raise ValueError for a file that breaks the form or an id used twice."""
    given = {name: tuple(map(read_transaction, txs)) for name, txs in _read(FOLDER / GIVEN).items()}
    vectors = []
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.name != GIVEN:
            vectors += [_vector(entry, given, path.name) for entry in _read(path)]
    ids = [vector.id for vector in vectors]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise ValueError(f"vectors with one id: {', '.join(twice)}")
    return tuple(vectors)


def build(vector: Vector, fund: Fund = offline_funding) -> BuiltVector:
    """Return the vector as signed transactions and the rows that they must leave.

    `fund(outputs)` makes outputs on a chain and returns their outpoints; without it they are imagined.
    """
    return build_specs(vector.blocks, fund, vector.network)


def _read(path: Path) -> Any:  # noqa: ANN401 - whatever YAML holds, checked by those who read it
    return _Loader(path.read_text(encoding="utf-8")).get_single_data()


def _vector(entry: dict[str, Any], given: Mapping[str, tuple[TxSpec, ...]], source: str) -> Vector:
    unknown = set(entry) - _KEYS
    if unknown:
        raise ValueError(f"{source}: vector {entry.get('id')} has unknown keys: {', '.join(sorted(unknown))}")
    own = entry.get("blocks") or [entry.get("txs") or [entry["tx"]]]
    blocks = [read_block(block) for block in own]
    prepared = [BlockSpec(given[entry["given"]])] if "given" in entry else []
    marketplace_from = entry.get("marketplace_from", "0")
    return Vector(
        id=entry["id"],
        accepts=tuple(entry.get("accepts", ())),
        rejects=tuple(entry.get("rejects", ())),
        given=len(prepared),
        blocks=tuple(prepared + blocks),
        balances=cast("Mapping[str, Mapping[str, str]] | None", entry.get("balances")),
        deploys=entry.get("deploys"),
        hashes=tuple(entry["hashes"]) if "hashes" in entry else None,
        network=entry.get("network", "regtest"),
        marketplace_from=NEVER if marketplace_from == "never" else int(marketplace_from),
        offline=entry.get("offline", ""),
    )


class _Loader(yaml.SafeLoader):
    """YAML in which every plain scalar is text: amounts and hex must not turn into numbers, nor `no` into False."""


_Loader.yaml_implicit_resolvers = {}
