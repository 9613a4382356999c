-- RBM agents: official accounts whose owner speaks RCS Business Messaging's REST API, and is told of what happens by a webhook.
-- Instants are microseconds.

CREATE TABLE agents (
    account_id   INTEGER PRIMARY KEY REFERENCES accounts,
    agent        TEXT NOT NULL UNIQUE,           -- its id as RBM writes it
    launch_state TEXT NOT NULL
) STRICT;

-- Keys that the simulator made for itself, by what they are for.
CREATE TABLE agent_keys (
    name   TEXT PRIMARY KEY,
    secret BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What an agent message has beside its message: the id and the JSON that its sender gave it.
CREATE TABLE agent_messages (
    account_id INTEGER NOT NULL REFERENCES accounts,
    message_id BLOB NOT NULL,
    client_id  TEXT NOT NULL,
    msisdn     INTEGER NOT NULL,
    traffic    INTEGER NOT NULL,                 -- of the types of traffic, by their place in the API's enum
    generation INTEGER NOT NULL,                 -- the account's list when it was sent
    timed      INTEGER NOT NULL,                 -- its sender gave it an end, and is told of that
    sent_time  INTEGER NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (account_id, message_id)
) STRICT;

CREATE INDEX agent_messages_by_time ON agent_messages (sent_time);
CREATE INDEX agent_acknowledgements ON agent_messages (account_id, msisdn, generation) WHERE traffic = 5;

-- What a webhook has not taken yet. A room is an account and a number; what waits in one goes in its order.
CREATE TABLE webhook_events (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id INTEGER NOT NULL REFERENCES accounts,
    msisdn     INTEGER NOT NULL,                 -- 0: nobody's
    event_id   BLOB NOT NULL,
    kind       INTEGER NOT NULL,
    message_id BLOB,
    content    TEXT,
    label      TEXT,
    event_time INTEGER NOT NULL,
    due_time   INTEGER NOT NULL,                 -- of a room's rows never before that of its first
    attempts   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX webhook_events_of_room ON webhook_events (account_id, msisdn, sequence);
CREATE INDEX webhook_events_by_due ON webhook_events (account_id, due_time, sequence);

-- Files that were uploaded, without their bytes.
CREATE TABLE agent_files (
    name         TEXT PRIMARY KEY,
    account_id   INTEGER NOT NULL REFERENCES accounts,
    content_type TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    created_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who was invited to try an agent before it is launched.
CREATE TABLE agent_testers (
    account_id   INTEGER NOT NULL REFERENCES accounts,
    msisdn       INTEGER NOT NULL,
    invited_time INTEGER NOT NULL,
    PRIMARY KEY (account_id, msisdn)
) STRICT, WITHOUT ROWID;

-- The simulator's own phones that are out of reach for now.
CREATE TABLE phones_away (
    msisdn INTEGER PRIMARY KEY
) STRICT;
