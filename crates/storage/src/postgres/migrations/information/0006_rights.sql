-- People's rights: what is erased and proved to be, what they agreed to, and what is forgotten by itself.
-- Programs of before know nothing of who was erased, and would ask them again; they may not run beside this schema.

UPDATE schema_floor SET needs = 6;

-- Followers who are to be erased or were: all that stays of them. A keyed hash names them, and tells nobody who it was. In one piece, because
-- whoever comes is looked for here, and few ever were.
CREATE TABLE erasure (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    company TEXT COLLATE "C" NOT NULL,
    cause SMALLINT NOT NULL,           -- on whose word: person, company, unfollowed
    request_time BIGINT NOT NULL,
    ask_time BIGINT NOT NULL,          -- whom a list brings back is not asked before
    due_time BIGINT,                   -- when to erase, or to look again whether somebody has; null: done
    erase_time BIGINT,                 -- when it was done last
    PRIMARY KEY (official_account, follower)
);
CREATE INDEX erasure_due ON erasure (due_time) WHERE due_time IS NOT NULL;

-- What followers agreed to, and which text they were shown.
CREATE TABLE consent (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    dialogue_id UUID NOT NULL,
    kind SMALLINT NOT NULL,            -- wants personal information, tied
    text BYTEA NOT NULL,               -- its digest
    carrier TEXT COLLATE "C" NOT NULL,
    give_time BIGINT NOT NULL,
    PRIMARY KEY (official_account, follower, dialogue_id, kind)
) PARTITION BY HASH (official_account, follower);

DO $$
BEGIN
    FOR remainder IN 0..7 LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF consent FOR VALUES WITH (MODULUS 8, REMAINDER %s)',
            'consent_' || remainder, remainder);
    END LOOP;
END
$$;

-- Each text that an account has ever asked with, once.
CREATE TABLE consent_text (
    official_account TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    text TEXT NOT NULL,
    first_time BIGINT NOT NULL,
    PRIMARY KEY (official_account, digest)
);

ALTER TABLE dialogue ADD COLUMN shown_text BYTEA; -- the digest of the question's text

-- Of the count, deliveries whose rows were erased with their followers.
ALTER TABLE delivery_tally ADD COLUMN erased BIGINT NOT NULL DEFAULT 0;

CREATE INDEX guess_window ON guess (window_end);
CREATE INDEX distribution_valued ON distribution (official_account) WHERE customers > 0;

-- Who follows no more is erased after 30 days, also those who left before.
UPDATE dialogue SET due_time = state_time + 2592000000000 WHERE state = 13 AND due_time IS NULL;
INSERT INTO erasure
SELECT f.official_account, f.follower, a.company, 2, f.follow_time, f.follow_time, f.follow_time + 2592000000000, NULL
FROM follower AS f JOIN keyed_account AS a ON a.official_account = f.official_account
WHERE NOT f.following AND NOT EXISTS
    (SELECT 1 FROM dialogue AS d WHERE d.official_account = f.official_account AND d.follower = f.follower);
