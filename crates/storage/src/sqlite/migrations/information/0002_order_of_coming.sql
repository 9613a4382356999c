-- Rows that are written again and again lie in the order in which they came, not in that of their keys: what came together moves
-- together, so a batch touches few pages, however large the table is. A key's index is only read then.

CREATE TABLE new_dialogue (
    official_account TEXT NOT NULL,
    follower BLOB NOT NULL,
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
    reasons TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (official_account, follower)
);
INSERT INTO new_dialogue SELECT * FROM dialogue ORDER BY state_time;
DROP TABLE dialogue;
ALTER TABLE new_dialogue RENAME TO dialogue;
CREATE INDEX dialogue_due ON dialogue (due_time) WHERE due_time IS NOT NULL;

CREATE TABLE new_delivery (
    official_account TEXT NOT NULL,
    follower BLOB NOT NULL,
    message_id BLOB NOT NULL,
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
    change_time INTEGER NOT NULL,
    PRIMARY KEY (official_account, follower, message_id)
);
INSERT INTO new_delivery SELECT * FROM delivery ORDER BY change_time;
DROP TABLE delivery;
ALTER TABLE new_delivery RENAME TO delivery;
CREATE INDEX delivery_due ON delivery (carrier, distribution, due_time) WHERE state IN (0, 1);
CREATE INDEX delivery_unconfirmed ON delivery (expire_time) WHERE state = 2;

CREATE TABLE new_entrusted_customer (
    company TEXT NOT NULL,
    copy INTEGER NOT NULL,
    account_key TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_kana TEXT NOT NULL,
    birth_date TEXT NOT NULL,
    address TEXT NOT NULL,
    branch_number TEXT NOT NULL,
    account_number TEXT NOT NULL,
    PRIMARY KEY (company, copy, account_key, customer_id)
);
INSERT INTO new_entrusted_customer SELECT * FROM entrusted_customer;
DROP TABLE entrusted_customer;
ALTER TABLE new_entrusted_customer RENAME TO entrusted_customer;

CREATE TABLE new_guess (
    company TEXT NOT NULL,
    axis INTEGER NOT NULL,
    subject BLOB NOT NULL,
    charged INTEGER NOT NULL,
    window_end INTEGER,
    PRIMARY KEY (company, axis, subject)
);
INSERT INTO new_guess SELECT * FROM guess;
DROP TABLE guess;
ALTER TABLE new_guess RENAME TO guess;

-- How many followers stand where; moved in the transaction that moves a follower. Without a dialogue state is -1 and reached 0.
CREATE TABLE follower_tally (
    official_account TEXT NOT NULL,
    carrier TEXT NOT NULL,
    following INTEGER NOT NULL,
    state INTEGER NOT NULL,
    reached INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (official_account, carrier, following, state, reached)
) WITHOUT ROWID;
INSERT INTO follower_tally
SELECT f.official_account, f.carrier, f.following, coalesce(d.state, -1), coalesce(d.reached, 0), count(*)
FROM follower AS f LEFT JOIN dialogue AS d ON d.official_account = f.official_account AND d.follower = f.follower
GROUP BY 1, 2, 3, 4, 5;
