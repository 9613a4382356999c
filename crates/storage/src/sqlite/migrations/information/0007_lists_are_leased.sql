-- A snapshot is held against the list by whoever fetched it, and is never stored. One server acquires a list at a time.

DROP TABLE staged_subscriber;
ALTER TABLE subscriber_list DROP COLUMN promoting;
ALTER TABLE subscriber_list DROP COLUMN promoting_generation;
ALTER TABLE subscriber_list ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;          -- how often somebody began to acquire it
ALTER TABLE subscriber_list ADD COLUMN lease_end_time INTEGER NOT NULL DEFAULT 0; -- nobody else begins before
ALTER TABLE subscriber_list ADD COLUMN acquire_time INTEGER NOT NULL DEFAULT 0;   -- when it was promoted or quarantined last

-- A promotion looks for ties to resume.
CREATE INDEX customer_information_suspended ON customer_information (official_account, number) WHERE suspended = 1;
