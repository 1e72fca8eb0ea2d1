-- Two schemas: everything in "index" can be rebuilt from the chain, nothing in "ops" can.
-- COLLATE "C" throughout: locales differ between hosts, and an index built under one is corrupt under another.

CREATE SCHEMA IF NOT EXISTS ops;
CREATE SCHEMA index;

-- Tickers are found by a key of fixed size: anyone can write one of kilobytes, which no index would take, and the
-- block that holds it could never be committed.
CREATE FUNCTION index.ticker_key(ticker text) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN sha256(convert_to(ticker, 'UTF8'));

-- The one row that a commit must find as it left it: a writer that was replaced (a failover, a lost session) does not.
CREATE TABLE index.chain (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    cluster text COLLATE "C" NOT NULL,
    network text COLLATE "C" NOT NULL,
    start_height integer NOT NULL,
    marketplace_height integer NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    tip_height integer NOT NULL,
    tip_hash bytea NOT NULL,
    -- The lowest height whose block can still be taken back.
    undo_from integer NOT NULL,
    node_height integer NOT NULL
);

CREATE TABLE index.blocks (
    height integer PRIMARY KEY,
    hash bytea NOT NULL,
    prev_hash bytea NOT NULL,
    time timestamptz NOT NULL,
    op_count integer NOT NULL,
    events_hash bytea NOT NULL,
    state_hash bytea NOT NULL,
    state_digest bytea NOT NULL
);

-- op_id = height << 20 | order of application in the block.
CREATE TABLE index.operations (
    op_id bigint PRIMARY KEY,
    tx_index integer NOT NULL,
    txid bytea NOT NULL,
    vout integer NOT NULL,
    step integer,
    op text COLLATE "C" NOT NULL,
    ticker text COLLATE "C",
    ticker_key bytea GENERATED ALWAYS AS (index.ticker_key(ticker)) STORED,
    amount numeric(38, 8),
    max_supply numeric(38, 8),
    limit_per_mint numeric(38, 8),
    sender text COLLATE "C",
    recipient text COLLATE "C",
    is_marketplace boolean NOT NULL,
    error text COLLATE "C"
) PARTITION BY RANGE (op_id);

CREATE INDEX operations_by_ticker ON index.operations (ticker_key, op_id DESC) WHERE ticker_key IS NOT NULL;

CREATE TABLE index.deploys (
    ticker text COLLATE "C" NOT NULL,
    ticker_key bytea PRIMARY KEY GENERATED ALWAYS AS (index.ticker_key(ticker)) STORED,
    max_supply numeric(38, 8) NOT NULL,
    limit_per_mint numeric(38, 8),
    minted numeric(38, 8) NOT NULL,
    height integer NOT NULL,
    txid bytea NOT NULL,
    deployer text COLLATE "C",
    CHECK (minted <= max_supply)
);

CREATE INDEX deploys_by_height ON index.deploys (height DESC);

-- A balance that came back to zero keeps its row: its height is when it last changed.
CREATE TABLE index.balances (
    ticker text COLLATE "C" NOT NULL,
    ticker_key bytea GENERATED ALWAYS AS (index.ticker_key(ticker)) STORED,
    address text COLLATE "C" NOT NULL,
    amount numeric(38, 8) NOT NULL CHECK (amount >= 0),
    height integer NOT NULL,
    PRIMARY KEY (ticker_key, address)
);

CREATE INDEX balances_by_amount ON index.balances (ticker_key, amount DESC, address) WHERE amount > 0;

-- What a block changed, as it was before; NULL where it did not exist.
CREATE TABLE index.undo_deploys (
    height integer NOT NULL,
    ticker_key bytea NOT NULL,
    minted numeric(38, 8),
    PRIMARY KEY (height, ticker_key)
);

CREATE TABLE index.undo_balances (
    height integer NOT NULL,
    ticker_key bytea NOT NULL,
    address text COLLATE "C" NOT NULL,
    amount numeric(38, 8),
    amount_height integer,
    PRIMARY KEY (height, ticker_key, address)
);
