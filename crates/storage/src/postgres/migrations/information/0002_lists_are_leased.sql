-- A snapshot is held against the list by whoever fetched it, and is never stored. One server acquires a list at a time.
-- Programs of before stage snapshots; they may not run beside this schema.

UPDATE schema_floor SET needs = 2;

DROP TABLE staged_subscriber;
ALTER TABLE subscriber_list
    DROP COLUMN promoting,
    DROP COLUMN promoting_generation,
    ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0,          -- how often somebody began to acquire it
    ADD COLUMN lease_end_time BIGINT NOT NULL DEFAULT 0, -- nobody else begins before
    ADD COLUMN acquire_time BIGINT NOT NULL DEFAULT 0;   -- when it was promoted or quarantined last
CREATE INDEX subscriber_list_due ON subscriber_list (carrier, acquire_time);

-- A promotion looks for ties to resume.
CREATE INDEX customer_information_suspended ON customer_information (official_account, follower) WHERE suspended;
