-- The terminal simulator: talk rooms, their lines, and what is still to be sent to carriers.

CREATE TABLE talk_rooms (
    talk_room        INTEGER PRIMARY KEY,
    phone_number     TEXT NOT NULL,
    official_account TEXT NOT NULL,
    carrier          TEXT NOT NULL,
    step             INTEGER NOT NULL,
    story            BLOB NOT NULL,
    UNIQUE (phone_number, official_account)
) STRICT;

-- Appended, so that a page of the file holds what came together; a talk room's lines are gathered by the index.
CREATE TABLE lines (
    line       INTEGER PRIMARY KEY,
    talk_room  INTEGER NOT NULL REFERENCES talk_rooms,
    line_time  INTEGER NOT NULL,
    -- Null for what the person said or opened.
    message_id TEXT,
    content    BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX lines_of_talk_room ON lines (talk_room, message_id);

CREATE TABLE senders (
    carrier          TEXT NOT NULL,
    official_account TEXT NOT NULL,
    display_name     TEXT NOT NULL,
    PRIMARY KEY (carrier, official_account)
) STRICT, WITHOUT ROWID;

-- due_time 0: at once.
CREATE TABLE outbox (
    batch    INTEGER PRIMARY KEY AUTOINCREMENT,
    carrier  TEXT NOT NULL,
    kind     INTEGER NOT NULL,
    actions  INTEGER NOT NULL,
    due_time INTEGER NOT NULL,
    request  BLOB NOT NULL
) STRICT;

CREATE INDEX outbox_of_carrier ON outbox (carrier, batch, due_time);

-- One row.
CREATE TABLE tally (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    shown    INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    tapped   INTEGER NOT NULL,
    typed    INTEGER NOT NULL,
    pages    INTEGER NOT NULL,
    refused  INTEGER NOT NULL
) STRICT;

INSERT INTO tally VALUES (1, 0, 0, 0, 0, 0, 0);
