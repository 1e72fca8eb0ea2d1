"""Sections 3 to 7: who acts, in which order, and what it does to the state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.naive.payload import (
    amount_of,
    check_fields,
    fields_of,
    first_failure,
    is_brc20_like,
    is_op_return,
    is_reserved,
    is_step,
    normalise,
    payload_of,
    show_amount,
)

if TYPE_CHECKING:
    from tests.naive.jsontext import Value


@dataclass(frozen=True)
class Transaction:
    """What the rules read of a transaction.

    `senders` (the address that an input spends from) and `marks` (whether it is an `83` input) have one entry an input.
    """

    txid: str
    senders: list[str | None]
    marks: list[bool]
    scripts: list[bytes]
    addresses: list[str | None]


@dataclass(frozen=True)
class Row:
    """One recorded operation, its fields as section 10.1 writes them (before escaping)."""

    txid: str
    vout: int
    step: int | None
    op: str
    ticker: str
    amount: str
    sender: str
    recipient: str
    error: str


@dataclass
class Token:
    """A deployed ticker; amounts in units."""

    maximum: int
    limit: int | None
    minted: int
    height: int
    txid: str
    deployer: str | None


@dataclass
class State:
    """Everything that operations change."""

    tokens: dict[str, Token] = field(default_factory=dict)
    balances: dict[tuple[str, str], int] = field(default_factory=dict)

    def balance(self, ticker: str, address: str) -> int:
        return self.balances.get((ticker, address), 0)

    def add(self, ticker: str, address: str, units: int) -> None:
        self.balances[(ticker, address)] = self.balance(ticker, address) + units


def apply_block(transactions: list[Transaction], height: int, state: State, marketplace_height: int) -> list[Row]:
    """Apply a block's transactions (coinbase left out) to `state`; return the rows in the order of application."""
    first = [tx for tx in transactions if is_valid_marketplace(tx, height, marketplace_height)]
    rest = [tx for tx in transactions if tx not in first]
    rows: list[Row] = []
    for tx in first + rest:
        rows += apply_transaction(tx, height, state, marketplace_height)
    return rows


def speaking_output(tx: Transaction) -> int | None:
    """Return the output that a transaction which is no multi-transfer is read from."""
    like = [vout for vout, script in enumerate(tx.scripts) if is_brc20_like(script)]
    return like[0] if len(like) == 1 else None


def steps_of(tx: Transaction) -> list[int]:
    return [vout for vout, script in enumerate(tx.scripts) if is_step(script)]


def read_output(script: bytes) -> dict[str, Value] | None:
    payload = payload_of(script)
    return None if payload is None else fields_of(payload)


def is_valid_marketplace(tx: Transaction, height: int, marketplace_height: int) -> bool:
    """Say whether the transaction belongs to the first phase of its block (4.1a)."""
    vout = speaking_output(tx)
    if len(steps_of(tx)) > 1 or vout is None:
        return False
    fields = read_output(tx.scripts[vout])
    if fields is None or check_fields(fields) or fields["op"] != "transfer":
        return False
    return any(tx.marks) and fits_template(tx, height, marketplace_height)


def fits_template(tx: Transaction, height: int, marketplace_height: int) -> bool:
    if len(tx.senders) < 3 or len({sender for sender in tx.senders if sender is not None}) < 3:
        return False
    if height < marketplace_height:
        return True
    return tx.senders[0] is not None and tx.senders[0] == tx.senders[1] and tx.marks[0] and tx.marks[1]


def recipient_after(tx: Transaction, vout: int) -> str | None:
    return tx.addresses[vout + 1] if vout + 1 < len(tx.addresses) else None


def apply_transaction(tx: Transaction, height: int, state: State, marketplace_height: int) -> list[Row]:
    steps = steps_of(tx)
    if len(steps) > 1:
        return apply_multi(tx, steps, state)
    vout = speaking_output(tx)
    if vout is None:
        return []
    fields = read_output(tx.scripts[vout])
    if fields is None:
        return []
    op = fields.get("op")
    name = op if isinstance(op, str) else ""
    error = check_fields(fields)
    if error:
        return [Row(tx.txid, vout, None, name, "", "", "", "", error)]

    tick = fields["tick"]
    assert isinstance(tick, str)
    ticker = normalise(tick)
    sender = tx.senders[0]
    recipient = recipient_after(tx, next(i for i, script in enumerate(tx.scripts) if is_op_return(script)))
    amount = show_amount(amount_of(fields.get("amt")))
    if name == "deploy":
        error = deploy(state, ticker, fields, Token(0, None, 0, height, tx.txid, sender))
        amount = show_amount(amount_of(fields.get("m"))) + "/" + show_amount(amount_of(fields.get("l")))
    elif name == "mint":
        error = mint(state, ticker, amount_of(fields.get("amt")), recipient)
    elif name == "transfer":
        malformed = any(tx.marks) and not fits_template(tx, height, marketplace_height)
        error = transfer(state, ticker, amount_of(fields.get("amt")), sender, recipient, malformed=malformed)
    return [Row(tx.txid, vout, None, name, ticker, amount, sender or "", recipient or "", error)]


def deploy(state: State, ticker: str, fields: dict[str, Value], token: Token) -> str:
    if is_reserved(ticker):
        return ""
    if ticker in state.tokens:
        return "TICKER_ALREADY_EXISTS"
    maximum = amount_of(fields.get("m"))
    if maximum is None:
        return "INVALID_AMOUNT"
    limit = amount_of(fields.get("l"))
    if "l" in fields and limit is None:
        return "INVALID_AMOUNT"
    token.maximum = maximum
    token.limit = limit
    state.tokens[ticker] = token
    return ""


def mint(state: State, ticker: str, amount: int | None, recipient: str | None) -> str:
    if recipient is None:
        return "NO_STANDARD_OUTPUT"
    if ticker not in state.tokens:
        return "TICKER_NOT_DEPLOYED"
    if amount is None:
        return "INVALID_AMOUNT"
    token = state.tokens[ticker]
    error = first_failure(
        [
            (token.limit is None, "INVALID_OPERATION"),
            (token.limit is not None and amount > token.limit, "EXCEEDS_MINT_LIMIT"),
            (token.minted + amount > token.maximum, "EXCEEDS_MAX_SUPPLY"),
        ]
    )
    if error:
        return error
    token.minted += amount
    state.add(ticker, recipient, amount)
    return ""


def transfer(
    state: State, ticker: str, amount: int | None, sender: str | None, recipient: str | None, *, malformed: bool
) -> str:
    if recipient is None or sender is None:
        return "NO_STANDARD_OUTPUT"
    if ticker not in state.tokens:
        return "TICKER_NOT_DEPLOYED"
    if amount is None:
        return "INVALID_AMOUNT"
    if state.balance(ticker, sender) < amount:
        return "INSUFFICIENT_BALANCE"
    if malformed:
        return "INVALID_MARKETPLACE_TRANSACTION"
    state.add(ticker, sender, -amount)
    state.add(ticker, recipient, amount)
    return ""


def apply_multi(tx: Transaction, steps: list[int], state: State) -> list[Row]:
    """Apply a multi-transfer; return one row for each of its steps."""
    fields = [readable_step(tx.scripts[vout]) for vout in steps]
    tickers = [normalise(str(found["tick"])) if found else "" for found in fields]
    amounts = [amount_of(found.get("amt")) if found else None for found in fields]
    common = misformed(tx, steps, tickers)
    sender = tx.senders[0]
    ended = False
    rows = []
    for number, vout in enumerate(steps):
        recipient = recipient_after(tx, vout)
        error = common
        if ended:
            error = "INSUFFICIENT_BALANCE"
        elif not common:
            error = transfer(state, tickers[number], amounts[number], sender, recipient, malformed=False)
            ended = error == "INSUFFICIENT_BALANCE"
        shown = show_amount(amounts[number])
        rows.append(
            Row(tx.txid, vout, number, "transfer", tickers[number], shown, sender or "", recipient or "", error)
        )
    return rows


def readable_step(script: bytes) -> dict[str, Value] | None:
    """Return the fields of a step that can be read in the sense of 6.2c."""
    fields = read_output(script)
    if fields is None or check_fields(fields) or fields["op"] != "transfer":
        return None
    return fields


def misformed(tx: Transaction, steps: list[int], tickers: list[str]) -> str:
    """Return the error code that all steps get (6.2), or an empty string."""
    for number, vout in enumerate(steps):
        if vout != 2 * number:
            return "INVALID_OUTPUT_POSITION"
        if vout + 1 >= len(tx.scripts):
            return "NO_RECEIVER_OUTPUT"
    if "" in tickers or len(set(tickers)) > 1:
        return "MULTI_TRANSFER_MIXED_TICKERS"
    return ""
