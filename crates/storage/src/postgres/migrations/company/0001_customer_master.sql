-- The customer master [120] and the records of what was done with it.
-- Instants are microseconds since 1970.

-- Whoever knows fewer migrations than this can't work with the database.
CREATE TABLE schema_floor (needs BIGINT NOT NULL);
INSERT INTO schema_floor VALUES (1);

CREATE TABLE customers (
    customer_id           TEXT COLLATE "C" PRIMARY KEY,
    name                  TEXT COLLATE "C" NOT NULL,
    name_kana             TEXT COLLATE "C" NOT NULL,
    birth_date            TEXT COLLATE "C" NOT NULL,
    address               TEXT COLLATE "C" NOT NULL,
    branch_number         TEXT COLLATE "C" NOT NULL,
    account_number        TEXT COLLATE "C" NOT NULL,
    account_key           TEXT COLLATE "C" NOT NULL,
    identity_verification TEXT COLLATE "C" NOT NULL,
    rules_version         BIGINT NOT NULL,     -- of the rules of matching that made the keys
    match_keys            BYTEA NOT NULL,
    update_time           BIGINT NOT NULL      -- an instant
);

CREATE INDEX customers_by_account ON customers (account_key);

-- Rows whose keys other rules made are the two ends of it. A master that is up to date has neither.
CREATE INDEX customers_by_rules ON customers (rules_version);

-- The file that is being imported, until it is whole.
CREATE TABLE staged_customers (
    customer_id           TEXT COLLATE "C" PRIMARY KEY,
    name                  TEXT COLLATE "C" NOT NULL,
    name_kana             TEXT COLLATE "C" NOT NULL,
    birth_date            TEXT COLLATE "C" NOT NULL,
    address               TEXT COLLATE "C" NOT NULL,
    branch_number         TEXT COLLATE "C" NOT NULL,
    account_number        TEXT COLLATE "C" NOT NULL,
    account_key           TEXT COLLATE "C" NOT NULL,
    identity_verification TEXT COLLATE "C" NOT NULL,
    rules_version         BIGINT NOT NULL,
    match_keys            BYTEA NOT NULL
);

-- One row: which version of the master stands, and whose import is staged. Whoever changes customers or adds to a record that is
-- read in its order holds it.
CREATE TABLE master (
    single    BOOLEAN PRIMARY KEY CHECK (single),
    revision  BIGINT NOT NULL,
    customers BIGINT NOT NULL,
    import    BIGINT NOT NULL                  -- grows with every import that begins
);

INSERT INTO master VALUES (true, 0, 0, 0);

-- Every import that took effect, also one that changed nothing.
CREATE TABLE imports (
    sequence    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    import_time BIGINT NOT NULL,               -- an instant
    revision    BIGINT NOT NULL,
    rows        BIGINT NOT NULL,
    added       BIGINT NOT NULL,
    changed     BIGINT NOT NULL,
    removed     BIGINT NOT NULL,
    encoding    TEXT COLLATE "C" NOT NULL
);

-- What was entrusted and taken back; the last row is how it stands.
CREATE TABLE custody_events (
    sequence       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_time     BIGINT NOT NULL,            -- an instant
    revision       BIGINT NOT NULL,
    customers      BIGINT NOT NULL,
    lease_end_time BIGINT                      -- an instant; null: taken back
);

-- Every decision that was given. The revision stands in the key because another master may decide the same inquiry otherwise.
CREATE TABLE inquiries (
    inquiry_id  UUID NOT NULL,
    revision    BIGINT NOT NULL,
    outcome     TEXT COLLATE "C" NOT NULL,
    customer_id TEXT COLLATE "C",
    reasons     TEXT COLLATE "C" NOT NULL,
    decide_time BIGINT NOT NULL,               -- an instant
    PRIMARY KEY (inquiry_id, revision)
);
