-- The customer master [120] and the records of what was done with it.

CREATE TABLE customers (
    customer_id           TEXT PRIMARY KEY,
    name                  TEXT NOT NULL,
    name_kana             TEXT NOT NULL,
    birth_date            TEXT NOT NULL,
    address               TEXT NOT NULL,
    branch_number         TEXT NOT NULL,
    account_number        TEXT NOT NULL,
    account_key           TEXT NOT NULL,
    identity_verification TEXT NOT NULL,
    update_time           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX customers_by_account ON customers (account_key);

-- The file that is being imported, until it is whole.
CREATE TABLE staged_customers (
    customer_id           TEXT PRIMARY KEY,
    name                  TEXT NOT NULL,
    name_kana             TEXT NOT NULL,
    birth_date            TEXT NOT NULL,
    address               TEXT NOT NULL,
    branch_number         TEXT NOT NULL,
    account_number        TEXT NOT NULL,
    account_key           TEXT NOT NULL,
    identity_verification TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: which version of the master stands.
CREATE TABLE master (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    revision  INTEGER NOT NULL,
    customers INTEGER NOT NULL
) STRICT;

INSERT INTO master (id, revision, customers) VALUES (1, 0, 0);

-- Every import that took effect, also one that changed nothing.
CREATE TABLE imports (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    import_time INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    rows        INTEGER NOT NULL,
    added       INTEGER NOT NULL,
    changed     INTEGER NOT NULL,
    removed     INTEGER NOT NULL,
    encoding    TEXT NOT NULL
) STRICT;

-- What was entrusted and taken back; the last row is how it stands.
CREATE TABLE custody_events (
    sequence       INTEGER PRIMARY KEY AUTOINCREMENT,
    event_time     INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    customers      INTEGER NOT NULL,
    lease_end_time INTEGER
) STRICT;

-- Every decision that was given. The revision stands in the key because another master may decide the same inquiry otherwise.
CREATE TABLE inquiries (
    inquiry_id  BLOB NOT NULL,
    revision    INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    customer_id TEXT,
    reasons     TEXT NOT NULL,
    decide_time INTEGER NOT NULL,
    PRIMARY KEY (inquiry_id, revision)
) STRICT, WITHOUT ROWID;
