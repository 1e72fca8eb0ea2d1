"""The API's SQL. Each statement also returns the block that its snapshot stands at."""

from __future__ import annotations

from typing import LiteralString

# One row of the chain beside the rows asked for: it is there also when they are none.
_AT = """
    SELECT s.tip_height AS at_height, s.tip_hash AS at_hash, s.state_hash AS at_state, q.*
    FROM (
        SELECT c.tip_height, c.tip_hash, b.state_hash
        FROM index.chain c LEFT JOIN index.blocks b ON b.height = c.tip_height
    ) s LEFT JOIN ({}) q ON true
    ORDER BY {}"""


def _at(rows: LiteralString, order: LiteralString) -> LiteralString:
    return _AT.format(rows, order)


# Holders are counted for the rows of the page only, so paging is done on `d`.
_TICKERS = """
    SELECT d.ticker, d.max_supply, d.limit_per_mint, d.minted, d.height, d.txid, d.deployer, b.time,
        (SELECT count(*) FROM index.balances h WHERE h.ticker_key = d.ticker_key AND h.amount > 0) AS holders
    FROM ({}) d JOIN index.blocks b USING (height)"""
_PAGE_OF_TICKERS = """
    SELECT * FROM index.deploys {} ORDER BY height DESC, ticker LIMIT %(limit)s OFFSET %(skip)s"""
_TICKER_ORDER = "q.height DESC, q.ticker"

# A ticker may have kilobytes: a cursor, which has to fit into a request, names such a one by its key alone.
_SEEN = "coalesce(%(name)s, (SELECT s.ticker FROM index.deploys s WHERE s.ticker_key = %(key)s))"

TICKERS = _at(_TICKERS.format(_PAGE_OF_TICKERS.format("")), _TICKER_ORDER)
# Rows of the cursor's own height that were seen already are few: left out after the index has found the height.
TICKERS_AFTER = _at(
    _TICKERS.format(
        _PAGE_OF_TICKERS.format("WHERE height <= %(height)s AND (height < %(height)s OR ticker > " + _SEEN + ")")
    ),
    _TICKER_ORDER,
)
TICKER = _at(_TICKERS.format("SELECT * FROM index.deploys WHERE ticker_key = index.ticker_key(%(ticker)s)"), "q.ticker")

_BALANCES = """
    SELECT ticker, address, amount, height FROM index.balances WHERE {} ORDER BY {} LIMIT %(limit)s OFFSET %(skip)s"""
_OF_TICKER = "ticker_key = index.ticker_key(%(ticker)s) AND amount > 0"
_OF_ADDRESS = "address = %(address)s AND amount > 0"
_BELOW = " AND amount <= %(amount)s::numeric AND (amount < %(amount)s::numeric OR {} > {})"

# Whether the ticker exists tells a ticker without holders from none.
_IS_DEPLOYED = "EXISTS (SELECT FROM index.deploys WHERE ticker_key = index.ticker_key(%(ticker)s)) AS deployed"
_HOLDERS = """
    SELECT * FROM (SELECT {}) e LEFT JOIN ({}) h ON true"""
_BY_HOLDER, _BY_TICKER = "amount DESC, address", "amount DESC, ticker"


def _holders(where: LiteralString) -> LiteralString:
    page = _BALANCES.format(where, _BY_HOLDER)
    return _at(_HOLDERS.format(_IS_DEPLOYED, page), "q.amount DESC, q.address")


HOLDERS = _holders(_OF_TICKER)
HOLDERS_AFTER = _holders(_OF_TICKER + _BELOW.format("address", "%(name)s"))
ADDRESS_BALANCES = _at(_BALANCES.format(_OF_ADDRESS, _BY_TICKER), "q.amount DESC, q.ticker")
ADDRESS_BALANCES_AFTER = _at(
    _BALANCES.format(_OF_ADDRESS + _BELOW.format("ticker", _SEEN), _BY_TICKER), "q.amount DESC, q.ticker"
)
BALANCE = _at(
    """
    SELECT ticker, address, amount, height FROM index.balances
    WHERE ticker_key = index.ticker_key(%(ticker)s) AND address = %(address)s""",
    "q.address",
)

# 20 is HEIGHT_SHIFT. A page is cut from the operations alone before their blocks are looked up.
_WITH_BLOCKS = """
    SELECT o.*, b.height, b.hash AS block_hash, b.time
    FROM ({}) o JOIN index.blocks b ON b.height = (o.op_id >> 20)::integer"""
_VALID = " AND (o.error IS NULL OR %(include_invalid)s)"
_FILTERS = f"""{_VALID}
    AND (%(op)s::text IS NULL OR o.op = %(op)s)
    AND o.op_id < %(before)s"""
_LATEST = " ORDER BY op_id DESC LIMIT %(limit)s OFFSET %(skip)s"

_OF_TICKER_OPS = "SELECT o.* FROM index.operations o WHERE o.ticker_key = index.ticker_key(%(ticker)s)"
_TICKER_TOO = " AND o.ticker_key = index.ticker_key(%(ticker)s)"
_OF_BLOCK = "SELECT o.* FROM index.operations o WHERE o.op_id >= %(first)s AND o.op_id < %(end)s"


# Both ways are read in order and merged, so that a busy address costs what its page costs. A transfer to oneself would
# be found by both.
_OF_ADDRESS_OPS = """
    SELECT * FROM (
        SELECT o.* FROM index.operations o WHERE o.sender = %(address)s {0}
        UNION ALL
        SELECT o.* FROM index.operations o
        WHERE o.recipient = %(address)s AND o.sender IS DISTINCT FROM %(address)s {0}
    ) o"""
_OF_ADDRESS_ALL = _OF_ADDRESS_OPS.format(_FILTERS)
_OF_ADDRESS_ONE = _OF_ADDRESS_OPS.format(_FILTERS + _TICKER_TOO)

TICKER_HISTORY = _at(_WITH_BLOCKS.format(_OF_TICKER_OPS + _FILTERS + _LATEST), "q.op_id DESC")
TICKER_TRANSACTION = _at(
    _WITH_BLOCKS.format(
        "SELECT o.* FROM index.operations o WHERE o.txid = %(txid)s AND o.ticker_key = index.ticker_key(%(ticker)s)"
    ),
    "q.op_id DESC",
)
ADDRESS_HISTORY = _at(_WITH_BLOCKS.format(_OF_ADDRESS_ALL + _LATEST), "q.op_id DESC")
ADDRESS_TICKER_HISTORY = _at(_WITH_BLOCKS.format(_OF_ADDRESS_ONE + _LATEST), "q.op_id DESC")
BLOCK_HISTORY = _at(
    _WITH_BLOCKS.format(_OF_BLOCK + _VALID + " AND o.op_id > %(after)s ORDER BY op_id LIMIT %(limit)s OFFSET %(skip)s"),
    "q.op_id",
)

STATUS = _at(
    "SELECT c.node_height, (SELECT max(op_id) FROM index.operations) AS last_op_id FROM index.chain c",
    "q.node_height",
)
STATE = _at(
    "SELECT height, hash, events_hash, state_hash, state_digest FROM index.blocks WHERE height = %(height)s",
    "q.height",
)

# What the watcher of the tip asks once a second; `stands` is whether the block that it saw last is still in the chain.
PULSE = """
    SELECT c.tip_height, c.tip_hash, b.state_hash, b.time, c.node_height,
        m.is_on, m.message, m.route_classes, m.serve_cached, m.retry_after,
        (SELECT coalesce(max(changed), 0) FROM ops.api_keys) AS keys_changed,
        EXISTS (SELECT FROM index.blocks WHERE height = %(height)s AND hash = %(hash)s) AS stands
    FROM ops.maintenance m LEFT JOIN index.chain c ON true LEFT JOIN index.blocks b ON b.height = c.tip_height"""
# A replica may be read where its tip is in the primary's chain.
TIP = "SELECT tip_height, tip_hash FROM index.chain"
IS_BLOCK = "SELECT FROM index.blocks WHERE height = %(height)s AND hash = %(hash)s"

# From the block that a client saw last: back through the blocks that reorgs took, to one that stands, and on from it.
# An empty hash stands before the first block.
PATH = """
    WITH RECURSIVE back (height, hash) AS (
        SELECT %(height)s::integer, %(hash)s::bytea
        UNION
        SELECT o.fork_height, o.fork_hash FROM back JOIN ops.orphaned_blocks o USING (hash)
        WHERE NOT EXISTS (SELECT FROM index.blocks b WHERE b.height = back.height AND b.hash = back.hash)
    ), fork AS (
        SELECT back.height, back.hash FROM back
        WHERE (back.hash = '' AND back.height = (SELECT start_height - 1 FROM index.chain))
            OR EXISTS (SELECT FROM index.blocks b WHERE b.height = back.height AND b.hash = back.hash)
        ORDER BY back.height LIMIT 1
    )
    SELECT fork.height AS fork_height, fork.hash AS fork_hash, b.height, b.hash, b.time, b.state_hash, b.op_count
    FROM fork LEFT JOIN LATERAL (
        SELECT * FROM index.blocks b WHERE b.height > fork.height ORDER BY b.height LIMIT %(limit)s
    ) b ON true ORDER BY b.height"""

# How many there are of what a page shows; asked in the snapshot that the rows are read in.
_ALL_BALANCES = "SELECT FROM index.balances"
_COUNT = "SELECT count(*) AS found FROM ({}) o"
COUNT_TICKERS = "SELECT count(*) AS found FROM index.deploys"
COUNT_HOLDERS = _COUNT.format(f"{_ALL_BALANCES} WHERE {_OF_TICKER}")
COUNT_TICKER_HISTORY = _COUNT.format(_OF_TICKER_OPS + _FILTERS)
COUNT_ADDRESS_HISTORY = _COUNT.format(_OF_ADDRESS_ALL)
COUNT_ADDRESS_TICKER_HISTORY = _COUNT.format(_OF_ADDRESS_ONE)
COUNT_BLOCK_HISTORY = _COUNT.format(_OF_BLOCK + _VALID)
