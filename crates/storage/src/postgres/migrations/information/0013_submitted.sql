-- A draft that is ready is submitted: it takes no values, and waits for who starts it or sends it back. Programs of before don't know
-- that state: they may not run beside this schema.

UPDATE schema_floor SET needs = 13;

ALTER TABLE distribution
    ADD COLUMN submitted_by TEXT,
    ADD COLUMN submit_time BIGINT;
CREATE INDEX distribution_state ON distribution (company, state, distribution_id) WHERE trial_of IS NULL;
