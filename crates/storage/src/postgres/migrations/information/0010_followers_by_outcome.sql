-- Where each follower stands, beside the follower: who asks for some outcome alone finds them by an index, however few they are.
-- Programs of before would not keep it, and know nothing of people who hold a follower's messages back: they may not run beside this schema.

UPDATE schema_floor SET needs = 10;

ALTER TABLE follower
    ADD COLUMN outcome SMALLINT NOT NULL DEFAULT 0,       -- a place in the enum of `domain`: not asked yet
    ADD COLUMN suspended BOOLEAN NOT NULL DEFAULT false;  -- the company's people hold back what is individual
UPDATE follower SET outcome = 10 WHERE NOT following;
UPDATE follower AS f SET outcome = CASE d.state WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 2 WHEN 4 THEN 2 WHEN 5 THEN 3 WHEN 6 THEN 4
    WHEN 7 THEN 5 WHEN 8 THEN 6 WHEN 9 THEN 7 WHEN 10 THEN 1 WHEN 11 THEN 8 WHEN 12 THEN 9 ELSE 10 END
FROM dialogue AS d WHERE d.official_account = f.official_account AND d.follower = f.follower AND f.following AND d.state > 0;
CREATE INDEX follower_by_outcome ON follower (official_account, outcome, follower);

-- How often something happened to followers in a day of Japan's, for 400 days; moved in the transaction in which it happens, in the shard
-- of its session.
CREATE TABLE day_tally (
    official_account TEXT COLLATE "C" NOT NULL,
    day INTEGER NOT NULL,              -- since 1970-01-01
    carrier TEXT COLLATE "C" NOT NULL,
    event SMALLINT NOT NULL,           -- came, left, asked, …
    shard SMALLINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (official_account, day, carrier, event, shard)
);
CREATE INDEX day_tally_age ON day_tally (day);

-- How often buttons of distributions were tapped, in the same way.
CREATE TABLE tap_tally (
    distribution UUID NOT NULL,
    individual BOOLEAN NOT NULL,       -- of the individual message, or of the uniform one
    place SMALLINT NOT NULL,           -- which button, from 0
    shard SMALLINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (distribution, individual, place, shard)
);

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['day_tally', 'tap_tally'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO musubi_node', name);
        EXECUTE format('CREATE POLICY node ON %I TO musubi_node USING (true)', name);
        EXECUTE format('GRANT SELECT ON %I TO musubi_company', name);
    END LOOP;
END
$$;
CREATE POLICY company ON day_tally TO musubi_company
    USING (official_account IN (SELECT k.official_account FROM keyed_account AS k));
CREATE POLICY company ON tap_tally TO musubi_company
    USING (EXISTS (SELECT 1 FROM distribution AS d WHERE d.distribution_id = tap_tally.distribution));
