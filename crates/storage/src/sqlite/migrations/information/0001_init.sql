-- The information-management server [20]. Instants are microseconds since 1970; states, purposes and stages are places in the
-- enums of `domain`; ids are 16 bytes. Tables that grow with followers have (official_account, follower) in front.

-- A follower of an official account: one for each (official account, number), whatever the carriers.
CREATE TABLE follower (
    official_account TEXT NOT NULL,
    follower BLOB NOT NULL,
    phone_number TEXT NOT NULL,
    carrier TEXT NOT NULL,             -- the one that messages go over
    following INTEGER NOT NULL,
    follow_time INTEGER NOT NULL,
    PRIMARY KEY (official_account, follower)
) WITHOUT ROWID;

-- Whether a carrier's list [320] has the follower.
CREATE TABLE subscription (
    official_account TEXT NOT NULL,
    follower BLOB NOT NULL,
    carrier TEXT NOT NULL,
    following INTEGER NOT NULL,
    change_time INTEGER NOT NULL,      -- by the carrier's clock
    PRIMARY KEY (official_account, follower, carrier)
) WITHOUT ROWID;

-- The present dialogue with a follower.
CREATE TABLE dialogue (
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
) WITHOUT ROWID;
CREATE INDEX dialogue_due ON dialogue (due_time) WHERE due_time IS NOT NULL;

-- Confirmed customer information [221]: the live tie of a follower to a customer.
CREATE TABLE customer_information (
    official_account TEXT NOT NULL,
    follower BLOB NOT NULL,
    tie_id BLOB NOT NULL,
    customer_id TEXT NOT NULL,
    method TEXT NOT NULL,
    tie_time INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    suspended INTEGER NOT NULL,
    PRIMARY KEY (official_account, follower)
) WITHOUT ROWID;

-- A match to be decided: the attested identity lives here until it is.
CREATE TABLE inquiry (
    official_account TEXT NOT NULL,
    follower BLOB NOT NULL,
    inquiry_id BLOB NOT NULL,
    company TEXT NOT NULL,
    branch_number TEXT,
    account_number TEXT NOT NULL,
    identity TEXT NOT NULL,
    due_time INTEGER NOT NULL,
    PRIMARY KEY (official_account, follower)
) WITHOUT ROWID;
CREATE INDEX inquiry_due ON inquiry (company, due_time);

-- Tries at account numbers, charged before they are made.
CREATE TABLE guess (
    company TEXT NOT NULL,
    axis INTEGER NOT NULL,
    subject BLOB NOT NULL,
    charged INTEGER NOT NULL,
    window_end INTEGER,
    PRIMARY KEY (company, axis, subject)
) WITHOUT ROWID;

-- Events that were taken. Receipts are not kept: what they do twice is what they did once.
CREATE TABLE inbox (
    carrier TEXT NOT NULL,
    event_id TEXT NOT NULL,
    take_time INTEGER NOT NULL,
    PRIMARY KEY (carrier, event_id)
) WITHOUT ROWID;
CREATE INDEX inbox_age ON inbox (take_time);

-- One message to one follower.
CREATE TABLE delivery (
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
) WITHOUT ROWID;
CREATE INDEX delivery_due ON delivery (carrier, distribution, due_time) WHERE state IN (0, 1);
CREATE INDEX delivery_unconfirmed ON delivery (expire_time) WHERE state = 2;

-- How many deliveries stand where; moved in the transaction that moves a delivery.
CREATE TABLE delivery_tally (
    official_account TEXT NOT NULL,
    carrier TEXT NOT NULL,
    distribution BLOB NOT NULL,
    purpose INTEGER NOT NULL,
    state INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (official_account, carrier, distribution, purpose, state)
) WITHOUT ROWID;
CREATE INDEX delivery_tally_distribution ON delivery_tally (distribution);

-- What a company asked to be sent.
CREATE TABLE distribution (
    distribution_id BLOB NOT NULL PRIMARY KEY,
    company TEXT NOT NULL,
    official_account TEXT NOT NULL,
    request_id BLOB NOT NULL,
    request_digest BLOB NOT NULL,      -- of all that was asked: the same request gives the same draft
    name TEXT NOT NULL,
    uniform TEXT NOT NULL,             -- templates, as JSON
    individual TEXT,
    customers INTEGER NOT NULL DEFAULT 0, -- with values
    state INTEGER NOT NULL,            -- draft, running, paused, completed, cancelled
    cursor BLOB NOT NULL,              -- the last follower for whom a delivery was made
    expanded INTEGER NOT NULL,         -- every follower has one
    messages_per_second INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    start_time INTEGER,
    expire_time INTEGER,
    end_time INTEGER,
    UNIQUE (company, request_id)
) WITHOUT ROWID;
CREATE INDEX distribution_running ON distribution (state) WHERE state IN (1, 2);
CREATE INDEX distribution_company ON distribution (company, distribution_id);

-- Cancelled distributions that each carrier still has to be asked about.
CREATE TABLE revocation (
    carrier TEXT NOT NULL,
    distribution BLOB NOT NULL,
    cursor BLOB NOT NULL,              -- the last follower whose message was asked about
    PRIMARY KEY (carrier, distribution)
) WITHOUT ROWID;

-- The values of an individual message, for each customer.
CREATE TABLE distribution_value (
    distribution BLOB NOT NULL,
    customer_id TEXT NOT NULL,
    variables TEXT NOT NULL,           -- a JSON array, in the template's order
    PRIMARY KEY (distribution, customer_id)
) WITHOUT ROWID;

-- How each list was acquired.
CREATE TABLE subscriber_list (
    official_account TEXT NOT NULL,
    carrier TEXT NOT NULL,
    promoted INTEGER NOT NULL DEFAULT 0,
    discarded INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 0,
    added_by_event INTEGER NOT NULL DEFAULT 0,
    added_by_list INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    promote_time INTEGER,
    quarantine_time INTEGER,           -- of the first snapshot in an unbroken row of quarantined ones
    promoting INTEGER,                 -- as_of_time of a whole snapshot that is being promoted
    promoting_generation INTEGER,
    PRIMARY KEY (official_account, carrier)
) WITHOUT ROWID;

-- A snapshot while it arrives and is promoted.
CREATE TABLE staged_subscriber (
    official_account TEXT NOT NULL,
    carrier TEXT NOT NULL,
    follower BLOB NOT NULL,
    phone_number TEXT NOT NULL,
    PRIMARY KEY (official_account, carrier, follower)
) WITHOUT ROWID;

-- Copies of customer masters in custody, and the record of what was purged.
CREATE TABLE custody (
    company TEXT NOT NULL,
    copy INTEGER NOT NULL,
    state INTEGER NOT NULL,            -- arriving, in effect, ended: being destroyed, purged: a record
    customers INTEGER NOT NULL DEFAULT 0, -- when it took effect
    chunk_time INTEGER NOT NULL,       -- when the last chunk came
    entrust_time INTEGER,              -- when it took effect; never: given up while it arrived
    lease_end_time INTEGER,
    purge_reason TEXT,
    purge_time INTEGER,
    PRIMARY KEY (company, copy)
) WITHOUT ROWID;
CREATE UNIQUE INDEX custody_in_effect ON custody (company) WHERE state = 1;
CREATE INDEX custody_held ON custody (state) WHERE purge_time IS NULL;

CREATE TABLE entrusted_customer (
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
) WITHOUT ROWID;

-- Who did what to whom, for ever. No personal value stands here.
CREATE TABLE audit (
    audit_id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    company TEXT NOT NULL,
    official_account TEXT,
    follower BLOB,
    action TEXT NOT NULL,
    detail TEXT NOT NULL
);
