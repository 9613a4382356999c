-- RBM agents: official accounts whose owner speaks RCS Business Messaging's REST API, and is told of what happens by a webhook.
-- Instants are microseconds.

CREATE TABLE agents (
    account_id   BIGINT PRIMARY KEY,
    agent        TEXT COLLATE "C" NOT NULL UNIQUE, -- its id as RBM writes it
    launch_state TEXT COLLATE "C" NOT NULL
);

-- Keys that the simulator made for itself, by what they are for.
CREATE TABLE agent_keys (
    name   TEXT COLLATE "C" PRIMARY KEY,
    secret BYTEA NOT NULL
);

-- What an agent message has beside its message: the id and the JSON that its sender gave it.
CREATE TABLE agent_messages (
    account_id BIGINT NOT NULL,
    message_id UUID NOT NULL,
    client_id  TEXT COLLATE "C" NOT NULL,
    msisdn     BIGINT NOT NULL,
    traffic    SMALLINT NOT NULL,                -- of the types of traffic, by their place in the API's enum
    generation BIGINT NOT NULL,                  -- the account's list when it was sent
    timed      BOOLEAN NOT NULL,                 -- its sender gave it an end, and is told of that
    sent_time  BIGINT NOT NULL,
    body       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, message_id)
);

CREATE INDEX agent_messages_by_time ON agent_messages (sent_time);
CREATE INDEX agent_acknowledgements ON agent_messages (account_id, msisdn, generation) WHERE traffic = 5;

-- What a webhook has not taken yet. A room is an account and a number; what waits in one goes in its order, which is that of the
-- sequence, because whoever adds to a room holds its number.
CREATE TABLE webhook_events (
    sequence   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL,
    msisdn     BIGINT NOT NULL,                  -- 0: nobody's
    event_id   UUID NOT NULL,
    kind       SMALLINT NOT NULL,
    message_id UUID,
    content    TEXT COLLATE "C",
    label      TEXT COLLATE "C",
    event_time BIGINT NOT NULL,
    due_time   BIGINT NOT NULL,                  -- of a room's rows never before that of its first
    attempts   BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX webhook_events_of_room ON webhook_events (account_id, msisdn, sequence);
CREATE INDEX webhook_events_by_due ON webhook_events (account_id, due_time, sequence);

-- Files that were uploaded, without their bytes.
CREATE TABLE agent_files (
    name         TEXT COLLATE "C" PRIMARY KEY,
    account_id   BIGINT NOT NULL,
    content_type TEXT COLLATE "C" NOT NULL,
    bytes        BIGINT NOT NULL,
    created_time BIGINT NOT NULL
);

-- Who was invited to try an agent before it is launched.
CREATE TABLE agent_testers (
    account_id   BIGINT NOT NULL,
    msisdn       BIGINT NOT NULL,
    invited_time BIGINT NOT NULL,
    PRIMARY KEY (account_id, msisdn)
);

-- The simulator's own phones that are out of reach for now.
CREATE TABLE phones_away (
    msisdn BIGINT PRIMARY KEY
);
