-- Trials: distributions of their own, to followers who were named. `absent`: how many of these followed nobody's list. Programs of before
-- would list them among distributions: they may not run beside this schema.

UPDATE schema_floor SET needs = 12;

ALTER TABLE distribution
    ADD COLUMN trial_of UUID,
    ADD COLUMN absent BIGINT NOT NULL DEFAULT 0;
CREATE INDEX distribution_trials ON distribution (trial_of, distribution_id) WHERE trial_of IS NOT NULL;
CREATE INDEX distribution_tried ON distribution (company, create_time) WHERE trial_of IS NOT NULL;

-- To whom, in the order in which they were named.
CREATE TABLE trial_recipient (
    official_account TEXT COLLATE "C" NOT NULL,
    follower UUID NOT NULL,
    distribution UUID NOT NULL,
    place BIGINT NOT NULL,
    message_id UUID NOT NULL,
    PRIMARY KEY (official_account, follower, distribution)
);
CREATE INDEX trial_recipient_distribution ON trial_recipient (distribution, place);

ALTER TABLE trial_recipient ENABLE ROW LEVEL SECURITY;
ALTER TABLE trial_recipient FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE, DELETE ON trial_recipient TO musubi_node;
CREATE POLICY node ON trial_recipient TO musubi_node USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON trial_recipient TO musubi_company;
CREATE POLICY company ON trial_recipient TO musubi_company
    USING (official_account IN (SELECT k.official_account FROM keyed_account AS k));

-- A company reads its lines from the newest back, those of an account or those of none.
CREATE INDEX audit_of_account ON audit (company, official_account, audit_id);
