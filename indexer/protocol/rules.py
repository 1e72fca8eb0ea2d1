"""What each operation checks and does. A processor sees state read-only; its effects apply whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec.structs import replace

from indexer.protocol.errors import ErrorCode
from indexer.protocol.model import BalanceKey, Deploy, Marketplace, Operation
from indexer.protocol.ticker import is_yield

if TYPE_CHECKING:
    from indexer.bitcoin.script import Network


class View(Protocol):
    """The state as an operation finds it, changes of earlier operations of its block included."""

    @property
    def height(self) -> int:
        """The height of the block."""
        ...

    def deploy(self, ticker: str | None) -> Deploy | None:
        """Return the deploy of a ticker."""
        ...

    def balance(self, key: BalanceKey) -> int:
        """Return a balance in 10⁻⁸ units, 0 where there is none."""
        ...


class Verdict(NamedTuple):
    """An error code, or the effects: deploys as they become, and amounts added to balances."""

    error: ErrorCode | None = None
    deploys: tuple[Deploy, ...] = ()
    credits: tuple[tuple[BalanceKey, int], ...] = ()


Processor = Callable[[Operation, View], Verdict]

NOTHING = Verdict()


def deploy(operation: Operation, view: View) -> Verdict:
    """Create a ticker. A yield token's is recorded and creates nothing."""
    ticker, max_supply = _ticker(operation), operation.max_supply
    if is_yield(ticker):
        return NOTHING
    if view.deploy(ticker) is not None:
        return Verdict(ErrorCode.TICKER_ALREADY_EXISTS)
    if max_supply is None or (operation.limit_is_given and operation.limit_per_mint is None):
        return Verdict(ErrorCode.INVALID_AMOUNT)
    return Verdict(
        deploys=(
            Deploy(
                ticker=ticker,
                max_supply=max_supply,
                limit_per_mint=operation.limit_per_mint,
                minted=0,
                height=view.height,
                txid=operation.txid,
                deployer=operation.sender,
            ),
        )
    )


def mint(operation: Operation, view: View) -> Verdict:  # noqa: PLR0911 - one return a check, in the rules' order
    """Credit new supply to the recipient, whole or not at all."""
    if operation.recipient is None:
        return Verdict(ErrorCode.NO_STANDARD_OUTPUT)
    deployed = view.deploy(operation.ticker)
    if deployed is None:
        return Verdict(ErrorCode.TICKER_NOT_DEPLOYED)
    if operation.amount is None:
        return Verdict(ErrorCode.INVALID_AMOUNT)
    if deployed.limit_per_mint is None:
        return Verdict(ErrorCode.INVALID_OPERATION)
    if operation.amount > deployed.limit_per_mint:
        return Verdict(ErrorCode.EXCEEDS_MINT_LIMIT)
    minted = deployed.minted + operation.amount
    if minted > deployed.max_supply:
        return Verdict(ErrorCode.EXCEEDS_MAX_SUPPLY)
    key = BalanceKey(deployed.ticker, operation.recipient)
    return Verdict(deploys=(replace(deployed, minted=minted),), credits=((key, operation.amount),))


def transfer(operation: Operation, view: View) -> Verdict:
    """Move an amount from the sender to the recipient."""
    if operation.recipient is None or operation.sender is None:
        return Verdict(ErrorCode.NO_STANDARD_OUTPUT)
    deployed = view.deploy(operation.ticker)
    if deployed is None:
        return Verdict(ErrorCode.TICKER_NOT_DEPLOYED)
    if operation.amount is None:
        return Verdict(ErrorCode.INVALID_AMOUNT)
    source = BalanceKey(deployed.ticker, operation.sender)
    if view.balance(source) < operation.amount:
        return Verdict(ErrorCode.INSUFFICIENT_BALANCE)
    if operation.marketplace is Marketplace.MALFORMED:
        return Verdict(ErrorCode.INVALID_MARKETPLACE_TRANSACTION)
    target = BalanceKey(deployed.ticker, operation.recipient)
    return Verdict(credits=((source, -operation.amount), (target, operation.amount)))


def burn(operation: Operation, view: View) -> Verdict:  # noqa: ARG001 - a processor's signature
    """Record the burn of a normal token; it changes nothing."""
    return NOTHING


def _ticker(operation: Operation) -> str:
    if operation.ticker is None:
        raise ValueError("an operation without a ticker was settled by its fields and reaches no processor")
    return operation.ticker


# What an OPI adds to: the operations it declares, each with its processor.
BUILT_IN: Mapping[str, Processor] = MappingProxyType(
    {"deploy": deploy, "mint": mint, "transfer": transfer, "burn": burn}
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that consensus depends on, and the processor of each known operation."""

    network: Network
    marketplace_height: int
    processors: Mapping[str, Processor] = field(default_factory=lambda: BUILT_IN)
