-- Who holds a tied number: proved when the tie was made, and believed for thirty days, as long as nobody sets another time; then its
-- carrier is asked first. Programs of before may run beside this schema, but would send to silent numbers; so they may not.

UPDATE schema_floor SET needs = greatest(needs, 5);

ALTER TABLE customer_information
    ADD COLUMN proved_time BIGINT NOT NULL DEFAULT 0, -- when the holder was last shown to be the customer
    ADD COLUMN silent_time BIGINT NOT NULL DEFAULT 0, -- nothing individual goes from then on
    ADD COLUMN ask_time BIGINT DEFAULT 0,             -- when to ask the carrier; while it is asked, the end of the lease
    ADD COLUMN doubt SMALLINT;                        -- what stands against it since
UPDATE customer_information SET proved_time = tie_time, silent_time = tie_time + 2592000000000, ask_time = tie_time + 2332800000000;
ALTER TABLE customer_information
    ALTER COLUMN proved_time DROP DEFAULT, ALTER COLUMN silent_time DROP DEFAULT, ALTER COLUMN ask_time DROP DEFAULT;
CREATE INDEX customer_information_ask ON customer_information (ask_time) WHERE ask_time IS NOT NULL;

-- Who is confirmed is asked for a new proof a fortnight before the tie ends.
UPDATE dialogue AS d SET due_time = t.expire_time - 1209600000000 FROM customer_information AS t
WHERE d.official_account = t.official_account AND d.follower = t.follower AND d.state = 5 AND d.due_time IS NULL;
