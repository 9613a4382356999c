-- The information-management server [20]. Instants are microseconds since 1970; states, purposes and stages are places in the
-- enums of `domain`; names are compared byte by byte. What grows with followers has (official_account, follower) in front of its
-- key, and lies in hash partitions by it, so that it can be spread over machines.

-- The lowest migration that a program must know to work with this database. A migration that takes something away raises it.
CREATE TABLE schema_floor (needs BIGINT NOT NULL);
INSERT INTO schema_floor VALUES (1);

-- A follower of an official account: one for each (official account, number), whatever the carriers. Whoever changes what belongs
-- to one holds this row locked.
CREATE TABLE follower (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    phone_number TEXT COLLATE "C" NOT NULL,
    carrier TEXT COLLATE "C" NOT NULL, -- the one that messages go over
    following BOOLEAN NOT NULL,
    follow_time BIGINT NOT NULL,
    former_customer TEXT COLLATE "C",  -- whom the number was tied to last, once that tie has ended
    PRIMARY KEY (official_account, follower)
) PARTITION BY HASH (official_account, follower);

-- Whether a carrier's list [320] has the follower.
CREATE TABLE subscription (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    carrier TEXT COLLATE "C" NOT NULL,
    following BOOLEAN NOT NULL,
    change_time BIGINT NOT NULL,       -- by the carrier's clock
    PRIMARY KEY (official_account, follower, carrier)
) PARTITION BY HASH (official_account, follower);

-- The present dialogue with a follower.
CREATE TABLE dialogue (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    dialogue_id UUID NOT NULL,
    turn BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    step INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    reminders INTEGER NOT NULL,
    unreadable INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    reached SMALLINT NOT NULL,
    due_time BIGINT,
    state_time BIGINT NOT NULL,
    branch_number TEXT COLLATE "C",    -- what was typed, until the match is decided
    account_number TEXT COLLATE "C",
    proposed_customer TEXT COLLATE "C", -- in review
    reasons TEXT NOT NULL,             -- a JSON array
    PRIMARY KEY (official_account, follower)
) PARTITION BY HASH (official_account, follower);
CREATE INDEX dialogue_due ON dialogue (due_time) WHERE due_time IS NOT NULL;

-- Confirmed customer information [221]: the live tie of a follower to a customer.
CREATE TABLE customer_information (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    tie_id UUID NOT NULL,
    customer_id TEXT COLLATE "C" NOT NULL,
    method TEXT COLLATE "C" NOT NULL,
    tie_time BIGINT NOT NULL,
    expire_time BIGINT NOT NULL,
    suspended BOOLEAN NOT NULL,
    PRIMARY KEY (official_account, follower)
) PARTITION BY HASH (official_account, follower);

-- The same ties by customer: one for each, which no key of the table above can say.
CREATE TABLE tied_customer (
    official_account TEXT COLLATE "C" NOT NULL,
    customer_id TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    PRIMARY KEY (official_account, customer_id)
) PARTITION BY HASH (official_account, customer_id);

-- A match to be decided: the attested identity lives here until it is.
CREATE TABLE inquiry (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    inquiry_id UUID NOT NULL,
    company TEXT COLLATE "C" NOT NULL,
    branch_number TEXT COLLATE "C",
    account_number TEXT COLLATE "C" NOT NULL,
    identity TEXT NOT NULL,            -- JSON
    due_time BIGINT NOT NULL,
    PRIMARY KEY (official_account, follower)
) PARTITION BY HASH (official_account, follower);
CREATE INDEX inquiry_due ON inquiry (company, due_time);

-- One message to one follower.
CREATE TABLE delivery (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    message_id UUID NOT NULL,
    carrier TEXT COLLATE "C" NOT NULL,
    distribution BYTEA NOT NULL,       -- empty: a dialogue's
    purpose SMALLINT NOT NULL,
    state SMALLINT NOT NULL,
    attempts INTEGER NOT NULL,
    throttled INTEGER NOT NULL DEFAULT 0, -- of these, attempts that the carrier put off: no failures
    due_time BIGINT NOT NULL,          -- the next attempt; while sending, the end of the lease
    expire_time BIGINT NOT NULL,
    dialogue_id UUID,                  -- a dialogue's
    step INTEGER,
    tie_id UUID,                       -- an individual one's, pinned by its first attempt
    customer_id TEXT COLLATE "C",
    change_time BIGINT NOT NULL,
    PRIMARY KEY (official_account, follower, message_id)
) PARTITION BY HASH (official_account, follower);
CREATE INDEX delivery_due ON delivery (carrier, distribution, official_account, due_time) WHERE state < 2;
CREATE INDEX delivery_unconfirmed ON delivery (expire_time) WHERE state = 2;

-- A snapshot while it arrives and is promoted.
CREATE TABLE staged_subscriber (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    carrier TEXT COLLATE "C" NOT NULL,
    phone_number TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (official_account, follower, carrier)
) PARTITION BY HASH (official_account, follower);

-- Eight partitions each.
DO $$
DECLARE
    parent TEXT;
BEGIN
    FOREACH parent IN ARRAY ARRAY['follower', 'subscription', 'dialogue', 'customer_information', 'tied_customer', 'inquiry',
        'delivery', 'staged_subscriber']
    LOOP
        FOR remainder IN 0..7 LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS 8, REMAINDER %s)',
                parent || '_' || remainder, parent, remainder);
        END LOOP;
    END LOOP;
END
$$;

-- Tries at account numbers, charged before they are made.
CREATE TABLE guess (
    company TEXT COLLATE "C" NOT NULL,
    axis SMALLINT NOT NULL,
    subject BYTEA NOT NULL,
    charged BIGINT NOT NULL,
    window_end BIGINT,
    PRIMARY KEY (company, axis, subject)
);

-- Events that were taken. Receipts are not kept: what they do twice is what they did once.
CREATE TABLE inbox (
    carrier TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    take_time BIGINT NOT NULL,
    PRIMARY KEY (carrier, event_id)
);
CREATE INDEX inbox_age ON inbox (take_time);

-- How many deliveries stand where; moved in the transaction that moves a delivery. The sum over the shards is the count: whoever
-- moves one takes the shard of its own session, so that two rarely wait for one another.
CREATE TABLE delivery_tally (
    official_account TEXT COLLATE "C" NOT NULL,
    carrier TEXT COLLATE "C" NOT NULL,
    distribution BYTEA NOT NULL,
    purpose SMALLINT NOT NULL,
    state SMALLINT NOT NULL,
    shard SMALLINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (official_account, carrier, distribution, purpose, state, shard)
);
CREATE INDEX delivery_tally_distribution ON delivery_tally (distribution);

-- How many followers stand where, in the same way. Without a dialogue state is -1 and reached 0.
CREATE TABLE follower_tally (
    official_account TEXT COLLATE "C" NOT NULL,
    carrier TEXT COLLATE "C" NOT NULL,
    following BOOLEAN NOT NULL,
    state SMALLINT NOT NULL,
    reached SMALLINT NOT NULL,
    shard SMALLINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (official_account, carrier, following, state, reached, shard)
);

-- Inquiries that people decide. What a person typed and what was attested stands sealed, and only while a review waits.
CREATE TABLE review (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    review_id UUID NOT NULL,
    company TEXT COLLATE "C" NOT NULL,
    dialogue_id UUID NOT NULL,
    inquiry_id UUID NOT NULL,
    proposed_customer TEXT COLLATE "C",
    method TEXT COLLATE "C" NOT NULL,
    reasons TEXT NOT NULL,             -- a JSON array
    sealed BYTEA,                      -- gone once it waits no more
    state SMALLINT NOT NULL,           -- 0 and 1 wait: open, approved once
    decisions TEXT NOT NULL,           -- who said what and when: [[operator, verdict, instant], …]
    open_time BIGINT NOT NULL,
    expire_time BIGINT NOT NULL,
    close_time BIGINT,                 -- when it was decided, expired or withdrawn
    PRIMARY KEY (official_account, follower, review_id),
    CHECK ((state < 2) = (sealed IS NOT NULL)),
    CHECK ((state < 2) = (close_time IS NULL))
);
CREATE UNIQUE INDEX review_waiting ON review (official_account, follower) WHERE state < 2;
CREATE UNIQUE INDEX review_id ON review (company, review_id);
CREATE INDEX review_company ON review (company, open_time, review_id);
CREATE INDEX review_state ON review (company, state, open_time, review_id);

-- What a company asked to be sent.
CREATE TABLE distribution (
    distribution_id UUID NOT NULL PRIMARY KEY,
    company TEXT COLLATE "C" NOT NULL,
    official_account TEXT COLLATE "C" NOT NULL,
    request_id UUID NOT NULL,
    request_digest BYTEA NOT NULL,     -- of all that was asked: the same request gives the same draft
    name TEXT NOT NULL,
    uniform TEXT NOT NULL,             -- templates, as JSON
    individual TEXT,
    customers BIGINT NOT NULL DEFAULT 0, -- with values
    state SMALLINT NOT NULL,           -- draft, running, paused, completed, cancelled
    cursor UUID NOT NULL,              -- the last follower for whom a delivery was made
    expanded BOOLEAN NOT NULL,         -- every follower has one
    messages_per_second BIGINT NOT NULL,
    create_time BIGINT NOT NULL,
    start_time BIGINT,
    expire_time BIGINT,
    end_time BIGINT,
    UNIQUE (company, request_id)
);
CREATE INDEX distribution_running ON distribution (state) WHERE state IN (1, 2);
CREATE INDEX distribution_company ON distribution (company, distribution_id);

-- Cancelled distributions that each carrier still has to be asked about.
CREATE TABLE revocation (
    carrier TEXT COLLATE "C" NOT NULL,
    distribution UUID NOT NULL,
    cursor UUID NOT NULL,              -- the last follower whose message was asked about
    PRIMARY KEY (carrier, distribution)
);

-- The values of an individual message, for each customer.
CREATE TABLE distribution_value (
    distribution UUID NOT NULL,
    customer_id TEXT COLLATE "C" NOT NULL,
    variables TEXT NOT NULL,           -- a JSON array, in the template's order
    PRIMARY KEY (distribution, customer_id)
);

-- How each list was acquired.
CREATE TABLE subscriber_list (
    official_account TEXT COLLATE "C" NOT NULL,
    carrier TEXT COLLATE "C" NOT NULL,
    promoted BIGINT NOT NULL DEFAULT 0,
    discarded BIGINT NOT NULL DEFAULT 0,
    quarantined BIGINT NOT NULL DEFAULT 0,
    generation BIGINT NOT NULL DEFAULT 0,
    added_by_event BIGINT NOT NULL DEFAULT 0,
    added_by_list BIGINT NOT NULL DEFAULT 0,
    skipped BIGINT NOT NULL DEFAULT 0,
    promote_time BIGINT,
    quarantine_time BIGINT,            -- of the first snapshot in an unbroken row of quarantined ones
    promoting BIGINT,                  -- as_of_time of a whole snapshot that is being promoted
    promoting_generation BIGINT,
    PRIMARY KEY (official_account, carrier)
);

-- Copies of customer masters in custody, and the record of what was purged.
CREATE TABLE custody (
    company TEXT COLLATE "C" NOT NULL,
    copy BIGINT NOT NULL,
    state SMALLINT NOT NULL,           -- arriving, in effect, ended: being destroyed, purged: a record
    customers BIGINT NOT NULL DEFAULT 0, -- when it took effect
    chunk_time BIGINT NOT NULL,        -- when the last chunk came
    entrust_time BIGINT,               -- when it took effect; never: given up while it arrived
    lease_end_time BIGINT,
    purge_reason TEXT COLLATE "C",
    purge_time BIGINT,
    PRIMARY KEY (company, copy)
);
CREATE UNIQUE INDEX custody_in_effect ON custody (company) WHERE state = 1;
CREATE INDEX custody_held ON custody (state) WHERE purge_time IS NULL;

-- The customers of these copies, with what matching made of each and which version of its rules did.
CREATE TABLE entrusted_customer (
    company TEXT COLLATE "C" NOT NULL,
    copy BIGINT NOT NULL,
    account_key TEXT COLLATE "C" NOT NULL,
    customer_id TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    name_kana TEXT NOT NULL,
    birth_date TEXT NOT NULL,
    address TEXT NOT NULL,
    branch_number TEXT NOT NULL,
    account_number TEXT NOT NULL,
    rules_version BIGINT NOT NULL,
    match_keys BYTEA NOT NULL,
    PRIMARY KEY (company, copy, account_key, customer_id)
);
CREATE INDEX entrusted_customer_by_rules ON entrusted_customer (rules_version);

-- Who did what to whom, for ever. No personal value stands here.
CREATE TABLE audit (
    audit_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time BIGINT NOT NULL,
    company TEXT COLLATE "C" NOT NULL,
    official_account TEXT COLLATE "C",
    follower UUID,
    action TEXT COLLATE "C" NOT NULL,
    detail TEXT NOT NULL
);
