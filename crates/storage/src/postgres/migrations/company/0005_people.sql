-- Who may sign in here: people and machines. Operators whom the configuration knows by certificate need no row.

CREATE TABLE operator (
    name           TEXT COLLATE "C" PRIMARY KEY,
    is_machine     BOOLEAN NOT NULL,
    roles          TEXT COLLATE "C" NOT NULL, -- words with spaces between
    create_time    BIGINT NOT NULL,           -- an instant
    token          BYTEA UNIQUE,              -- SHA-256 of a machine's key, or of an invitation until it was used
    token_end_time BIGINT,                    -- an instant
    credential     BYTEA,                     -- sealed: the secret of one-time codes and the password's hash; null: not taken yet
    last_step      BIGINT NOT NULL DEFAULT 0, -- of one-time codes: the last that was taken
    failures       INTEGER NOT NULL DEFAULT 0, -- wrong tries in a row
    failure_time   BIGINT,                    -- an instant
    sign_in_time   BIGINT                     -- an instant
);

CREATE TABLE session (
    token      BYTEA PRIMARY KEY,             -- SHA-256
    operator   TEXT COLLATE "C" NOT NULL REFERENCES operator (name) ON DELETE CASCADE,
    begin_time BIGINT NOT NULL,               -- an instant
    use_time   BIGINT NOT NULL                -- an instant, to the minute
);
CREATE INDEX session_by_operator ON session (operator);
