"""The people of the traffic: a dozen and more parties whose keys follow from one seed."""

from __future__ import annotations

from dataclasses import dataclass

from infra.local.traffic.keys import WITHOUT_ADDRESS, Key, Kind, make_key, script_of

# Mostly what wallets use today; the last ones have no address, so they can neither hold nor send tokens.
_KINDS = (
    *(Kind.P2WPKH,) * 4,
    *(Kind.P2TR,) * 4,
    *(Kind.P2PKH,) * 3,
    Kind.P2SH_P2WPKH,
    Kind.P2WSH,
    Kind.P2PK,
    Kind.MULTISIG_1_1,
    Kind.MULTISIG_1_2,
)


@dataclass(frozen=True, slots=True)
class Party:
    """One key used in one manner."""

    name: str
    kind: Kind
    key: Key
    script: bytes

    @property
    def has_address(self) -> bool:
        """Whether an indexer can name this party."""
        return self.kind not in WITHOUT_ADDRESS


@dataclass(frozen=True)
class Wallet:
    """All parties of one seed."""

    parties: tuple[Party, ...]
    by_script: dict[bytes, Party]

    @property
    def addressed(self) -> tuple[Party, ...]:
        """Those an indexer can name."""
        return tuple(party for party in self.parties if party.has_address)

    @property
    def nameless(self) -> tuple[Party, ...]:
        """Those whose outputs have no address."""
        return tuple(party for party in self.parties if not party.has_address)


def make_wallet(seed: int | str) -> Wallet:
    """Return the parties of `seed`, always the same."""
    parties = tuple(_party(seed, number, kind) for number, kind in enumerate(_KINDS))
    return Wallet(parties, {party.script: party for party in parties})


def _party(seed: int | str, number: int, kind: Kind) -> Party:
    key = make_key(seed, number)
    return Party(f"{kind}/{number}", kind, key, script_of(kind, key))
