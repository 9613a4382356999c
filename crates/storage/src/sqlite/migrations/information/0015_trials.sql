-- Trials: distributions of their own, to followers who were named. `absent`: how many of these followed nobody's list.
ALTER TABLE distribution ADD COLUMN trial_of BLOB;
ALTER TABLE distribution ADD COLUMN absent INTEGER NOT NULL DEFAULT 0;
CREATE INDEX distribution_trials ON distribution (trial_of, distribution_id) WHERE trial_of IS NOT NULL;
CREATE INDEX distribution_tried ON distribution (company, create_time) WHERE trial_of IS NOT NULL;

-- To whom, in the order in which they were named.
CREATE TABLE trial_recipient (
    distribution BLOB NOT NULL,
    place INTEGER NOT NULL,
    number INTEGER NOT NULL,           -- the follower's
    message_id BLOB NOT NULL,
    PRIMARY KEY (distribution, place)
) WITHOUT ROWID;
CREATE INDEX trial_recipient_follower ON trial_recipient (number);

-- A company reads its lines from the newest back, those of an account or those of none.
CREATE INDEX audit_of_account ON audit (company, official_account, audit_id);
