-- The carrier: accounts, subscriber lists, messages in flight, authorities, and what the information server is to be told.
-- A number stands here as the integer that E.164 writes after the plus sign: it sorts as the list does.

CREATE TABLE accounts (
    account_id   INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    -- Grows with every change of the account's subscriber list.
    generation   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The subscriber list [320] as intervals of generations: who followed at generation g is who began at g or before and had
-- not ended at g. So a snapshot is read page by page while the list goes on changing.
CREATE TABLE subscriptions (
    account_id    INTEGER NOT NULL REFERENCES accounts,
    msisdn        INTEGER NOT NULL,
    followed_at   INTEGER NOT NULL,
    unfollowed_at INTEGER,
    PRIMARY KEY (account_id, msisdn, followed_at)
) STRICT, WITHOUT ROWID;

-- A number follows an account once at a time.
CREATE UNIQUE INDEX subscriptions_now ON subscriptions (msisdn, account_id) WHERE unfollowed_at IS NULL;

CREATE TABLE fleets (
    fleet_id INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE
) STRICT;

-- Which fleet has a number's phone, as the fleets' last actions told.
CREATE TABLE numbers (
    msisdn   INTEGER PRIMARY KEY,
    fleet_id INTEGER NOT NULL REFERENCES fleets
) STRICT;

-- Every message ever accepted, in the order of delivery. state: 0 queued, 1 delivered, 2 displayed, 3 expired, 4 revoked.
-- The payload goes when the message is no longer queued; the row stays, so that its id is known for ever.
CREATE TABLE messages (
    sequence    INTEGER PRIMARY KEY,
    account_id  INTEGER NOT NULL REFERENCES accounts,
    message_id  BLOB NOT NULL,
    msisdn      INTEGER NOT NULL,
    fleet_id    INTEGER NOT NULL REFERENCES fleets,
    state       INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    payload     BLOB
) STRICT;

CREATE UNIQUE INDEX messages_by_id ON messages (account_id, message_id);
CREATE INDEX messages_of_fleet ON messages (fleet_id, sequence) WHERE state = 0;
CREATE INDEX messages_of_number ON messages (msisdn, account_id) WHERE state = 0;
CREATE INDEX messages_by_expiry ON messages (expire_time) WHERE state = 0;

-- Batches of actions that were applied.
CREATE TABLE action_batches (
    batch_id BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Batches of authentications that were applied, and what was answered.
CREATE TABLE assertion_batches (
    batch_id BLOB PRIMARY KEY,
    answer   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What the information server has not acknowledged yet, up to 1,000 items in a row. kind: 0 events, 1 assertions.
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     INTEGER NOT NULL,
    items    INTEGER NOT NULL,
    payload  BLOB NOT NULL
) STRICT;

CREATE INDEX outbox_in_order ON outbox (kind, sequence);

CREATE TABLE authority_keys (
    method         TEXT PRIMARY KEY,
    key_id         TEXT NOT NULL,
    private_key    BLOB NOT NULL,
    public_key_pem TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What authorities know of persons, by credential.
CREATE TABLE persons (
    method        TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    msisdn        INTEGER NOT NULL,
    pin           TEXT NOT NULL,
    name          TEXT NOT NULL,
    name_kana     TEXT,
    birth_date    TEXT NOT NULL,
    address       TEXT NOT NULL,
    PRIMARY KEY (method, credential_id)
) STRICT, WITHOUT ROWID;
