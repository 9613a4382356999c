-- People's rights: what is erased and proved to be, what they agreed to, and what is forgotten by itself.

-- Followers who are to be erased or were: all that stays of them. A keyed hash names them, and tells nobody who it was.
CREATE TABLE erasure (
    official_account TEXT NOT NULL,
    follower BLOB NOT NULL,
    number INTEGER,                    -- the follower's; who comes back gets it again, and nobody else
    company TEXT NOT NULL,
    cause INTEGER NOT NULL,            -- on whose word: person, company, unfollowed
    request_time INTEGER NOT NULL,
    ask_time INTEGER NOT NULL,         -- whom a list brings back is not asked before
    due_time INTEGER,                  -- when to erase, or to look again whether somebody has; null: done
    erase_time INTEGER,                -- when it was done last
    PRIMARY KEY (official_account, follower)
) WITHOUT ROWID;
CREATE INDEX erasure_due ON erasure (due_time) WHERE due_time IS NOT NULL;
CREATE UNIQUE INDEX erasure_number ON erasure (number);

-- What followers agreed to, and which text they were shown.
CREATE TABLE consent (
    number INTEGER NOT NULL,           -- the follower's
    dialogue_id BLOB NOT NULL,
    kind INTEGER NOT NULL,             -- wants personal information, tied
    text BLOB NOT NULL,                -- its digest
    carrier TEXT NOT NULL,
    give_time INTEGER NOT NULL,
    PRIMARY KEY (number, dialogue_id, kind)
) WITHOUT ROWID;

-- Each text that an account has ever asked with, once.
CREATE TABLE consent_text (
    official_account TEXT NOT NULL,
    digest BLOB NOT NULL,
    text TEXT NOT NULL,
    first_time INTEGER NOT NULL,
    PRIMARY KEY (official_account, digest)
) WITHOUT ROWID;

ALTER TABLE dialogue ADD COLUMN shown_text BLOB; -- the digest of the question's text

-- Of the count, deliveries whose rows were erased with their followers.
ALTER TABLE delivery_tally ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;

-- A follower's deliveries, all of them.
DROP INDEX delivery_queued;
CREATE INDEX delivery_follower ON delivery (number);
CREATE INDEX review_follower ON review (official_account, follower);
CREATE INDEX guess_window ON guess (window_end);
CREATE INDEX distribution_valued ON distribution (official_account) WHERE customers > 0;

-- Who follows no more is erased after 30 days, also those who left before.
UPDATE dialogue SET due_time = state_time + 2592000000000 WHERE state = 13 AND due_time IS NULL;
INSERT INTO erasure
SELECT f.official_account, f.follower, f.number, a.company, 2, f.follow_time, f.follow_time, f.follow_time + 2592000000000, NULL
FROM follower AS f JOIN keyed_account AS a ON a.official_account = f.official_account
WHERE f.following = 0 AND NOT EXISTS (SELECT 1 FROM dialogue AS d WHERE d.number = f.number);
