-- The carrier: accounts, subscriber lists, messages in flight, authorities, and what the information server is to be told.
-- A number stands here as the integer that E.164 writes after the plus sign: it sorts as the list does.
-- Instants are microseconds since 1970. Accounts and fleets are never deleted, so no constraint refers to them: it would be checked
-- for each message.

-- Whoever knows fewer migrations than this can't work with the database.
CREATE TABLE schema_floor (needs BIGINT NOT NULL);
INSERT INTO schema_floor VALUES (1);

CREATE TABLE accounts (
    account_id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL UNIQUE,
    display_name TEXT COLLATE "C" NOT NULL,
    generation   BIGINT NOT NULL DEFAULT 0      -- grows with every change of the account's subscriber list
);

-- The subscriber list [320] as intervals of generations: who followed at generation g is who began at g or before and had
-- not ended at g. So a snapshot is read page by page while the list goes on changing.
CREATE TABLE subscriptions (
    account_id    BIGINT NOT NULL,
    msisdn        BIGINT NOT NULL,
    followed_at   BIGINT NOT NULL,
    unfollowed_at BIGINT,
    PRIMARY KEY (account_id, msisdn, followed_at)
);

-- A number follows an account once at a time.
CREATE UNIQUE INDEX subscriptions_now ON subscriptions (msisdn, account_id) WHERE unfollowed_at IS NULL;

CREATE TABLE fleets (
    fleet_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     TEXT COLLATE "C" NOT NULL UNIQUE
);

-- Which fleet has a number's phone, as the fleets' last actions told. Whoever changes what a number follows, its fleet or its
-- messages holds its row.
CREATE TABLE numbers (
    msisdn   BIGINT PRIMARY KEY,
    fleet_id BIGINT NOT NULL
);

-- Every message ever accepted, in the order of delivery. state: 0 queued, 1 delivered, 2 displayed, 3 expired, 4 revoked.
-- The payload goes when the message is no longer queued; the row stays, so that its id is known for ever.
CREATE TABLE messages (
    sequence    BIGINT PRIMARY KEY,
    account_id  BIGINT NOT NULL,
    message_id  UUID NOT NULL,
    msisdn      BIGINT NOT NULL,
    fleet_id    BIGINT NOT NULL,
    state       SMALLINT NOT NULL,
    expire_time BIGINT NOT NULL,                -- an instant
    payload     BYTEA
);

CREATE UNIQUE INDEX messages_by_id ON messages (account_id, message_id);
CREATE INDEX messages_of_fleet ON messages (fleet_id, sequence) WHERE state = 0;
CREATE INDEX messages_of_number ON messages (msisdn, account_id) WHERE state = 0;
CREATE INDEX messages_by_expiry ON messages (expire_time) WHERE state = 0;

-- Batches of actions that were applied.
CREATE TABLE action_batches (
    batch_id UUID PRIMARY KEY
);

-- Batches of authentications that were applied, and what was answered.
CREATE TABLE assertion_batches (
    batch_id UUID PRIMARY KEY,
    answer   BYTEA NOT NULL
);

-- What the information server has not acknowledged yet, up to 1,000 items in a row. kind: 0 events, 1 assertions.
CREATE TABLE outbox (
    kind     SMALLINT NOT NULL,
    sequence BIGINT NOT NULL,
    items    BIGINT NOT NULL,
    payload  BYTEA NOT NULL,
    PRIMARY KEY (kind, sequence)
);

-- The last number that was given in each order that readers go by: the outbox's by its kind, and 2: the messages'. Whoever gives
-- one holds the row until the commit, so the numbers come in the order of the commits and no reader misses one.
CREATE TABLE heads (
    head SMALLINT PRIMARY KEY,
    last BIGINT NOT NULL
);

INSERT INTO heads VALUES (0, 0), (1, 0), (2, 0);

CREATE TABLE authority_keys (
    method         TEXT COLLATE "C" PRIMARY KEY,
    key_id         TEXT COLLATE "C" NOT NULL,
    private_key    BYTEA NOT NULL,
    public_key_pem TEXT COLLATE "C" NOT NULL
);

-- What authorities know of persons, by credential.
CREATE TABLE persons (
    method        TEXT COLLATE "C" NOT NULL,
    credential_id TEXT COLLATE "C" NOT NULL,
    msisdn        BIGINT NOT NULL,
    pin           TEXT COLLATE "C" NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    name_kana     TEXT COLLATE "C",
    birth_date    TEXT COLLATE "C" NOT NULL,
    address       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (method, credential_id)
);
