-- What the API asks: an address's history and balances, and what only "ops" can hold.

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX operations_by_sender ON index.operations (sender, op_id DESC) WHERE sender IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX operations_by_recipient ON index.operations (recipient, op_id DESC) WHERE recipient IS NOT NULL;
-- Without the ticker: one of kilobytes fits into no index row, and its block could never be committed.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX balances_by_address ON index.balances (address, amount DESC) WHERE amount > 0;

-- Four bytes an entry: transactions are looked up one at a time, never in order.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX operations_by_txid ON index.operations USING hash (txid);

-- A key itself is stored nowhere: only its HMAC under a pepper that the database does not have.
CREATE TABLE ops.api_keys (
    key_id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL CHECK (role IN ('reader', 'operator', 'admin')),
    digest bytea NOT NULL CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    -- From the sequence below at every change, under a lock of the table: who has seen N asks for what is above N.
    changed bigint NOT NULL
);
CREATE INDEX api_keys_by_change ON ops.api_keys (changed);
CREATE SEQUENCE ops.api_keys_changed OWNED BY ops.api_keys.changed;

-- The one row that says whether the API serves, as operators want it.
CREATE TABLE ops.maintenance (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    is_on boolean NOT NULL,
    message text COLLATE "C" NOT NULL,
    route_classes text[] NOT NULL,
    serve_cached boolean NOT NULL,
    retry_after integer NOT NULL CHECK (retry_after > 0),
    since timestamptz NOT NULL
);
INSERT INTO ops.maintenance (is_on, message, route_classes, serve_cached, retry_after, since)
VALUES (false, '', '{}', false, 60, now());

-- Blocks that a reorg took back, and the block that the chain went on from: a client that saw one learns where it was.
CREATE TABLE ops.orphaned_blocks (
    hash bytea PRIMARY KEY,
    height integer NOT NULL,
    fork_height integer NOT NULL,
    fork_hash bytea NOT NULL,
    orphaned_at timestamptz NOT NULL DEFAULT now()
);
