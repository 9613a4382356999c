-- The terminal simulator: talk rooms, their lines, and what is still to be sent to carriers.
-- Instants are microseconds since 1970.

-- Whoever knows fewer migrations than this can't work with the database.
CREATE TABLE schema_floor (needs BIGINT NOT NULL);
INSERT INTO schema_floor VALUES (1);

CREATE TABLE talk_rooms (
    talk_room        BIGINT PRIMARY KEY,
    phone_number     TEXT COLLATE "C" NOT NULL,
    official_account TEXT COLLATE "C" NOT NULL,
    carrier          TEXT COLLATE "C" NOT NULL,
    step             SMALLINT NOT NULL,
    story            BYTEA NOT NULL,
    UNIQUE (phone_number, official_account)
);

CREATE TABLE lines (
    line       BIGINT PRIMARY KEY,
    talk_room  BIGINT NOT NULL REFERENCES talk_rooms,
    line_time  BIGINT NOT NULL,                -- an instant
    message_id TEXT COLLATE "C",               -- null for what the person said or opened
    content    BYTEA NOT NULL
);

CREATE UNIQUE INDEX lines_of_talk_room ON lines (talk_room, message_id);

CREATE TABLE senders (
    carrier          TEXT COLLATE "C" NOT NULL,
    official_account TEXT COLLATE "C" NOT NULL,
    display_name     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (carrier, official_account)
);

CREATE TABLE outbox (
    batch    BIGINT PRIMARY KEY,
    carrier  TEXT COLLATE "C" NOT NULL,
    kind     SMALLINT NOT NULL,
    actions  BIGINT NOT NULL,
    due_time BIGINT NOT NULL,                  -- an instant; 0: at once
    request  BYTEA NOT NULL
);

CREATE INDEX outbox_of_carrier ON outbox (carrier, batch, due_time);

-- One row, which whoever writes holds from its beginning to its commit: so numbers are given in the order of the commits, and a
-- reader who goes by them misses none.
CREATE TABLE head (
    single     BOOLEAN PRIMARY KEY CHECK (single),
    talk_rooms BIGINT NOT NULL,                -- the last number of each that was given
    lines      BIGINT NOT NULL,
    batches    BIGINT NOT NULL,
    shown      BIGINT NOT NULL,                -- the tally
    repeated   BIGINT NOT NULL,
    tapped     BIGINT NOT NULL,
    typed      BIGINT NOT NULL,
    pages      BIGINT NOT NULL,
    refused    BIGINT NOT NULL
);

INSERT INTO head VALUES (true, 0, 0, 0, 0, 0, 0, 0, 0, 0);
