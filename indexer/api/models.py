"""What the OpenAPI document says of answers: fields, forms, and an example of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

Amount = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{8}$")]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Health = Literal["healthy", "degraded", "unhealthy", "not configured"]

# The examples are of one chain, and a test asks for them there: what the document shows is what the API answers.
_ALICE, _BOB = "bc1qh5cxgfwcw0wra8732g8xjw256mtqt69dkwcsy7", "bc1q2aul8m749aphmnrea66ajddz0ga2mxea03v38h"
_BLOCK = "0bec6310e5db1dc4ab8e93cc0a48edf98171ac5d3e64f88a1a371a3665f4d1e8"
_STATE = "141af1b67403cccdba755cb883af7c2035e3b0ba17fa8ab45f9a4fab6806bd7d"
_DEPLOY = "832379bf4d6e638329b2eac768abc3352ca4d5e71faf9c8340e9a82eac0b827e"
_TRANSFER = "2558f6eb8009463522029176ac6cf2e540f4eec18c8a6e2514b63b460dd47a0e"


class TickerInfo(BaseModel):
    """A deployed ticker. Amounts are exact decimal strings."""

    ticker: str = Field(description="As the protocol normalises it.", examples=["ORDI"])
    decimals: Literal[8] = Field(description="Digits behind the point of every amount.", examples=[8])
    max_supply: Amount = Field(examples=["21000000.00000000"])
    limit_per_mint: Amount | None = Field(description="Null where the deploy set none.", examples=["1000.00000000"])
    actual_deploy_txid_for_api: Hash = Field(description="The same as `deploy_tx_id`.", examples=[_DEPLOY])
    deploy_tx_id: Hash = Field(examples=[_DEPLOY])
    deploy_block_height: Count = Field(examples=[900_000])
    deploy_timestamp: datetime = Field(description="The block's time.", examples=["2025-06-06T08:53:20Z"])
    creator_address: str = Field(description="Empty where the deployer has no address.", examples=[_ALICE])
    remaining_supply: Amount = Field(description="What may still be minted.", examples=["20999000.00000000"])
    minted: Amount = Field(examples=["1000.00000000"])
    current_supply: Amount = Field(examples=["1000.00000000"])
    circulating_supply: Amount = Field(examples=["1000.00000000"])
    total_locked: Amount = Field(examples=["0.00000000"])
    holders: Count = Field(description="How many addresses hold some.", examples=[2])
    is_curve: bool = Field(examples=[False])


class AddressBalance(BaseModel):
    """An address's balance of a ticker."""

    pkscript: str = Field(description="Always empty: kept for clients of the reference.", examples=[""])
    ticker: str = Field(examples=["ORDI"])
    wallet: str = Field(description="The address.", examples=[_ALICE])
    overall_balance: Amount = Field(examples=["749.50000000"])
    available_balance: Amount = Field(examples=["749.50000000"])
    block_height: Count = Field(description="Where it last changed, 0 for never.", examples=[900_001])


class Op(BaseModel):
    """A recorded operation."""

    id: int = Field(
        description="Height times 2^20 and the operation's number in its block.", examples=[943_719_448_576]
    )
    tx_id: Hash = Field(examples=[_TRANSFER])
    txid: Hash = Field(description="The same.", examples=[_TRANSFER])
    op: str = Field(description="As written in the transaction.", examples=["transfer"])
    ticker: str | None = Field(examples=["ORDI"])
    amount: Amount | None = Field(description="The maximal supply of a deploy.", examples=["250.50000000"])
    block_height: Count = Field(examples=[900_001])
    block_hash: Hash = Field(examples=[_BLOCK])
    tx_index: Count = Field(description="The transaction's number in its block.", examples=[1])
    timestamp: datetime = Field(description="The block's time.", examples=["2025-06-06T09:03:20Z"])
    from_address: str | None = Field(examples=[_ALICE])
    to_address: str | None = Field(examples=[_BOB])
    valid: bool = Field(examples=[True])
    is_marketplace: bool = Field(examples=[False])
    error_code: str | None = Field(
        description="Why it is invalid, such as `INSUFFICIENT_BALANCE`; null for a valid one.", examples=[None]
    )
    vout: Count = Field(description="The output with the operation.", examples=[0])
    step: int | None = Field(description="The number of a transfer among several of one transaction.", examples=[None])


class _All(BaseModel):
    total_count: Count = Field(description="How many there are.", examples=[1])
    returned_count: Count = Field(description="How many are here: at most `max_results`.", examples=[1])
    has_more: bool = Field(examples=[False])


class AllOps(_All):
    """Operations with how many there are."""

    data: list[Op]


class AllTickers(_All):
    """Tickers with how many there are."""

    data: list[TickerInfo]


class AllBalances(_All):
    """Balances with how many there are."""

    total_count: Count = Field(description="How many there are.", examples=[2])
    has_more: bool = Field(examples=[True])
    data: list[AddressBalance]


class Status(BaseModel):
    """Where the indexer stands."""

    current_block_height_network: Count = Field(description="The node's height.", examples=[900_001])
    last_indexed_block_main_chain: Count = Field(examples=[900_001])
    last_indexed_brc20_op_block: Count = Field(description="0 where there is none.", examples=[900_001])
    block_hash: Hash = Field(description="Of the last indexed block.", examples=[_BLOCK])
    state_hash: Hash | None = Field(description="Of all history up to it.", examples=[_STATE])


class State(BaseModel):
    """What two indexers compare at a height: equal state hashes mean equal histories up to there."""

    height: Count = Field(examples=[900_001])
    block_hash: Hash = Field(examples=[_BLOCK])
    events_hash: Hash = Field(
        description="Of the block's operations.",
        examples=["64c6d671810f5e9b16cfb7bdbe02f0a102388c59811aa949480aeb048cd6e3e3"],
    )
    state_hash: Hash = Field(description="Of the events hashes up to here.", examples=[_STATE])
    state_digest: Hash = Field(
        description="Of all balances and deploys.",
        examples=["6601bc1462886c21ee455c51a0419c4404b43587fc174b6f72b1a79f3de1e223"],
    )


class Root(BaseModel):
    """What answers."""

    message: str = Field(examples=["Universal BRC-20 indexer"])
    version: str = Field(examples=["0.1.0"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = Field(examples=["ok"])
    release: str | None = Field(
        None, description="Which release answers, where it was told: `X-Release`.", examples=["0.1.0-3f9c2a1b7d60"]
    )


class Ready(BaseModel):
    """The process takes requests."""

    status: Literal["ready"] = Field(examples=["ready"])


class DependencyHealth(BaseModel):
    """How a dependency is."""

    status: Health = Field(examples=["healthy"])
    latency_ms: float | None = Field(description="How long it took to answer.", examples=[1.2])
    detail: str = Field(examples=["block 900001, 0 behind the node; reads: primary"])
    breaker: Literal["closed", "open", "half_open"] | None = Field(
        description="Whether calls go through; null where it has no breaker.", examples=[None]
    )


class DetailedHealth(BaseModel):
    """How the service and everything it needs is: plain words, and beside them the details."""

    status: Health = Field(examples=["healthy"])
    timestamp: datetime = Field(examples=["2025-06-06T09:03:21Z"])
    version: str = Field(examples=["0.1.0"])
    dependencies: dict[str, Health] = Field(description="By name: database, redis, bitcoin_node.")
    details: dict[str, DependencyHealth] = Field(description="By the same names.")


class Brc20Health(BaseModel):
    """The reference's own health."""

    status: Literal["healthy"] = Field(examples=["healthy"])
    message: str = Field(examples=["the BRC-20 API answers"])


class Problem(BaseModel):
    """An error (RFC 9457). What follows `detail` is there where it says more."""

    type: str = Field(description="`about:blank`, or what kind of problem it is.", examples=["about:blank"])
    title: str = Field(description="What the status means.")
    status: int = Field(description="The answer's status.", ge=400, le=599)
    detail: str = Field(description="What was wrong, in a sentence.")
    reason: str | None = Field(None, description="Why a credential is refused: `expired`, `revoked`, `signature` …")
    scope: str | None = Field(None, description="The scope that is needed.")
    trace_id: str | None = Field(None, description="What an unexpected error was logged under.")
    reasons: list[str] | None = Field(None, description="Why the process is not ready.")
