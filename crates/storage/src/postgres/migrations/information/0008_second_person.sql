-- What one person may not do alone. Programs of before know nothing of it: they would let one person do it, so they may not run beside this schema.

UPDATE schema_floor SET needs = 8;

-- What one person asked for and another has to approve. People are named by a keyed hash, and only as long as it is open.
CREATE TABLE approval (
    company TEXT COLLATE "C" NOT NULL,
    approval_id UUID NOT NULL,
    digest BYTEA NOT NULL,             -- the same thing, asked for again, has the same
    subject TEXT NOT NULL,             -- what, as JSON
    people TEXT NOT NULL,              -- whom, as JSON: [[account, follower], …]; nobody once it is not open
    state SMALLINT NOT NULL,           -- 0 and 1 are open: waiting, approved; done, rejected, expired
    asked_by TEXT COLLATE "C" NOT NULL,
    decided_by TEXT COLLATE "C",
    ask_time BIGINT NOT NULL,
    state_time BIGINT NOT NULL,
    expire_time BIGINT NOT NULL,
    PRIMARY KEY (company, approval_id),
    CHECK (state < 2 OR people = '[]'),
    CHECK (decided_by IS NULL OR decided_by <> asked_by OR state = 3)
);
CREATE UNIQUE INDEX approval_open ON approval (company, digest) WHERE state < 2;
CREATE INDEX approval_state ON approval (company, state, approval_id);
CREATE INDEX approval_expiry ON approval (expire_time) WHERE state < 2;

ALTER TABLE approval ENABLE ROW LEVEL SECURITY;
ALTER TABLE approval FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE, DELETE ON approval TO musubi_node;
CREATE POLICY node ON approval TO musubi_node USING (true);
GRANT SELECT, INSERT, UPDATE ON approval TO musubi_company;
CREATE POLICY company ON approval TO musubi_company USING (company = current_setting('musubi.company', true));

-- Who made a draft or gave it values, as a JSON array.
ALTER TABLE distribution ADD COLUMN prepared_by TEXT NOT NULL DEFAULT '[]';

-- What a quarantined snapshot lacks, and how much of that people have seen and released.
ALTER TABLE subscriber_list
    ADD COLUMN quarantine_followers BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN quarantine_missing BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN release_missing BIGINT;
