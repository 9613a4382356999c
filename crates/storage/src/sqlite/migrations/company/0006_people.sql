-- Who may sign in here: people and machines. Operators whom the configuration knows by certificate need no row.

CREATE TABLE operator (
    name           TEXT PRIMARY KEY,
    is_machine     INTEGER NOT NULL,
    roles          TEXT NOT NULL,             -- words with spaces between
    create_time    INTEGER NOT NULL,
    token          BLOB UNIQUE,               -- SHA-256 of a machine's key, or of an invitation until it was used
    token_end_time INTEGER,
    credential     BLOB,                      -- sealed: the secret of one-time codes and the password's hash; null: not taken yet
    last_step      INTEGER NOT NULL DEFAULT 0, -- of one-time codes: the last that was taken
    failures       INTEGER NOT NULL DEFAULT 0, -- wrong tries in a row
    failure_time   INTEGER,
    sign_in_time   INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    token      BLOB PRIMARY KEY,              -- SHA-256
    operator   TEXT NOT NULL REFERENCES operator (name) ON DELETE CASCADE,
    begin_time INTEGER NOT NULL,
    use_time   INTEGER NOT NULL               -- to the minute
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_operator ON session (operator);
