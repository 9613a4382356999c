-- What one person may not do alone.

-- What one person asked for and another has to approve. People are named by a keyed hash, and only as long as it is open.
CREATE TABLE approval (
    company TEXT NOT NULL,
    approval_id BLOB NOT NULL,
    digest BLOB NOT NULL,              -- the same thing, asked for again, has the same
    subject TEXT NOT NULL,             -- what, as JSON
    people TEXT NOT NULL,              -- whom, as JSON: [[account, follower], …]; nobody once it is not open
    state INTEGER NOT NULL,            -- 0 and 1 are open: waiting, approved; done, rejected, expired
    asked_by TEXT NOT NULL,
    decided_by TEXT,
    ask_time INTEGER NOT NULL,
    state_time INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    PRIMARY KEY (company, approval_id),
    CHECK (state < 2 OR people = '[]'),
    CHECK (decided_by IS NULL OR decided_by <> asked_by OR state = 3)
) WITHOUT ROWID;
CREATE UNIQUE INDEX approval_open ON approval (company, digest) WHERE state < 2;
CREATE INDEX approval_state ON approval (company, state, approval_id);
CREATE INDEX approval_expiry ON approval (expire_time) WHERE state < 2;

-- Who made a draft or gave it values, as a JSON array.
ALTER TABLE distribution ADD COLUMN prepared_by TEXT NOT NULL DEFAULT '[]';

-- What a quarantined snapshot lacks, and how much of that people have seen and released.
ALTER TABLE subscriber_list ADD COLUMN quarantine_followers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subscriber_list ADD COLUMN quarantine_missing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subscriber_list ADD COLUMN release_missing INTEGER;
