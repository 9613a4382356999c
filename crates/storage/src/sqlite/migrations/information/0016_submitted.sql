-- A draft that is ready is submitted: it takes no values, and waits for who starts it or sends it back.
ALTER TABLE distribution ADD COLUMN submitted_by TEXT;
ALTER TABLE distribution ADD COLUMN submit_time INTEGER;
CREATE INDEX distribution_state ON distribution (company, state, distribution_id) WHERE trial_of IS NULL;
