-- A follower gets a number in the order of coming (those who are here already in that of their hashes), and what belongs to the follower lies by that number. The keyed hash that names the
-- follower outside stands in one index instead of five; all else that a batch touches lies together, however many followers there are.
-- Message ids sort, so their index grows at its end.

CREATE TABLE new_follower (
    number INTEGER PRIMARY KEY,        -- in the order of coming; known to this database only
    official_account TEXT NOT NULL,
    follower BLOB NOT NULL,
    phone_number TEXT NOT NULL,
    carrier TEXT NOT NULL,             -- the one that messages go over
    following INTEGER NOT NULL,
    follow_time INTEGER NOT NULL,
    former_customer TEXT,              -- whom the number was tied to last, once that tie has ended
    UNIQUE (official_account, follower)
);
INSERT INTO new_follower (official_account, follower, phone_number, carrier, following, follow_time, former_customer)
SELECT official_account, follower, phone_number, carrier, following, follow_time, former_customer FROM follower ORDER BY official_account, follower;

CREATE TABLE new_subscription (
    number INTEGER NOT NULL,           -- the follower's
    carrier TEXT NOT NULL,
    following INTEGER NOT NULL,
    change_time INTEGER NOT NULL,      -- by the carrier's clock
    PRIMARY KEY (number, carrier)
) WITHOUT ROWID;
INSERT INTO new_subscription
SELECT f.number, s.carrier, s.following, s.change_time
FROM new_follower AS f JOIN subscription AS s ON s.official_account = f.official_account AND s.follower = f.follower
ORDER BY f.number;

CREATE TABLE new_customer_information (
    number INTEGER PRIMARY KEY,        -- the follower's
    official_account TEXT NOT NULL,
    tie_id BLOB NOT NULL,
    customer_id TEXT NOT NULL,
    method TEXT NOT NULL,
    tie_time INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    suspended INTEGER NOT NULL
);
INSERT INTO new_customer_information
SELECT f.number, t.official_account, t.tie_id, t.customer_id, t.method, t.tie_time, t.expire_time, t.suspended
FROM new_follower AS f JOIN customer_information AS t ON t.official_account = f.official_account AND t.follower = f.follower
ORDER BY f.number;

CREATE TABLE new_inquiry (
    number INTEGER PRIMARY KEY,        -- the follower's
    inquiry_id BLOB NOT NULL,
    company TEXT NOT NULL,
    branch_number TEXT,
    account_number TEXT NOT NULL,
    identity TEXT NOT NULL,
    due_time INTEGER NOT NULL
);
INSERT INTO new_inquiry
SELECT f.number, i.inquiry_id, i.company, i.branch_number, i.account_number, i.identity, i.due_time
FROM new_follower AS f JOIN inquiry AS i ON i.official_account = f.official_account AND i.follower = f.follower
ORDER BY f.number;

CREATE TABLE new_dialogue (
    number INTEGER PRIMARY KEY,        -- the follower's
    dialogue_id BLOB NOT NULL,
    turn INTEGER NOT NULL,
    state INTEGER NOT NULL,
    step INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    reminders INTEGER NOT NULL,
    unreadable INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    reached INTEGER NOT NULL,
    due_time INTEGER,
    state_time INTEGER NOT NULL,
    branch_number TEXT,                -- what was typed, until the match is decided
    account_number TEXT,
    proposed_customer TEXT,            -- in review
    reasons TEXT NOT NULL DEFAULT '[]'
);
INSERT INTO new_dialogue
SELECT f.number, d.dialogue_id, d.turn, d.state, d.step, d.messages, d.reminders, d.unreadable, d.tries, d.reached, d.due_time,
    d.state_time, d.branch_number, d.account_number, d.proposed_customer, d.reasons
FROM new_follower AS f JOIN dialogue AS d ON d.official_account = f.official_account AND d.follower = f.follower
ORDER BY f.number;

CREATE TABLE new_delivery (
    message_id BLOB NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,           -- the follower's
    official_account TEXT NOT NULL,
    carrier TEXT NOT NULL,
    distribution BLOB NOT NULL,        -- empty: a dialogue's
    purpose INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    throttled INTEGER NOT NULL DEFAULT 0, -- of these, attempts that the carrier put off: no failures
    due_time INTEGER NOT NULL,         -- the next attempt; while sending, the end of the lease
    expire_time INTEGER NOT NULL,
    dialogue_id BLOB,                  -- a dialogue's
    step INTEGER,
    tie_id BLOB,                       -- an individual one's, pinned by its first attempt
    customer_id TEXT,
    change_time INTEGER NOT NULL
);
INSERT INTO new_delivery
SELECT m.message_id, f.number, m.official_account, m.carrier, m.distribution, m.purpose, m.state, m.attempts, m.throttled, m.due_time,
    m.expire_time, m.dialogue_id, m.step, m.tie_id, m.customer_id, m.change_time
FROM delivery AS m JOIN new_follower AS f ON f.official_account = m.official_account AND f.follower = m.follower
ORDER BY m.rowid;

-- Whoever walks followers goes by number now, and stands where it stood: the numbers are in the order in which it went.
ALTER TABLE distribution RENAME COLUMN cursor TO old_cursor;
ALTER TABLE distribution ADD COLUMN cursor INTEGER NOT NULL DEFAULT 0; -- the last follower for whom a delivery was made
UPDATE distribution SET cursor = coalesce((SELECT max(number) FROM new_follower AS f
    WHERE f.official_account = distribution.official_account AND f.follower <= old_cursor), 0);
ALTER TABLE distribution DROP COLUMN old_cursor;
ALTER TABLE revocation RENAME COLUMN cursor TO old_cursor;
ALTER TABLE revocation ADD COLUMN cursor INTEGER NOT NULL DEFAULT 0;   -- the last follower whose message was asked about
UPDATE revocation SET cursor = coalesce((SELECT max(number) FROM new_follower AS f
    JOIN distribution AS d ON d.official_account = f.official_account
    WHERE d.distribution_id = revocation.distribution AND f.follower <= old_cursor), 0);
ALTER TABLE revocation DROP COLUMN old_cursor;

DROP TABLE subscription;
DROP TABLE customer_information;
DROP TABLE inquiry;
DROP TABLE dialogue;
DROP TABLE delivery;
DROP TABLE follower;
ALTER TABLE new_follower RENAME TO follower;
ALTER TABLE new_subscription RENAME TO subscription;
ALTER TABLE new_customer_information RENAME TO customer_information;
ALTER TABLE new_inquiry RENAME TO inquiry;
ALTER TABLE new_dialogue RENAME TO dialogue;
ALTER TABLE new_delivery RENAME TO delivery;
CREATE INDEX follower_in_order ON follower (official_account, number);
CREATE UNIQUE INDEX customer_information_customer ON customer_information (official_account, customer_id);
CREATE INDEX inquiry_due ON inquiry (company, due_time);
CREATE INDEX dialogue_due ON dialogue (due_time) WHERE due_time IS NOT NULL;
CREATE INDEX delivery_due ON delivery (carrier, distribution, due_time) WHERE state IN (0, 1);
CREATE INDEX delivery_unconfirmed ON delivery (expire_time) WHERE state = 2;
CREATE INDEX delivery_queued ON delivery (number) WHERE state = 0;
