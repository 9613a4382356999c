-- Where each follower stands, beside the follower: who asks for some outcome alone finds them by an index, however few they are.
ALTER TABLE follower ADD COLUMN outcome INTEGER NOT NULL DEFAULT 0;    -- a place in the enum of `domain`: not asked yet
ALTER TABLE follower ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;  -- the company's people hold back what is individual
UPDATE follower SET outcome = CASE WHEN following = 0 THEN 10 ELSE coalesce((
    SELECT CASE d.state WHEN 0 THEN 0 WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 2 WHEN 4 THEN 2 WHEN 5 THEN 3 WHEN 6 THEN 4 WHEN 7 THEN 5
        WHEN 8 THEN 6 WHEN 9 THEN 7 WHEN 10 THEN 1 WHEN 11 THEN 8 WHEN 12 THEN 9 ELSE 10 END
    FROM dialogue AS d WHERE d.number = follower.number), 0) END;
CREATE INDEX follower_by_outcome ON follower (official_account, outcome, number);

-- How often something happened to followers in a day of Japan's, for 400 days; moved in the transaction in which it happens.
CREATE TABLE day_tally (
    official_account TEXT NOT NULL,
    day INTEGER NOT NULL,              -- since 1970-01-01
    carrier TEXT NOT NULL,
    event INTEGER NOT NULL,            -- came, left, asked, …
    count INTEGER NOT NULL,
    PRIMARY KEY (official_account, day, carrier, event)
) WITHOUT ROWID;
CREATE INDEX day_tally_age ON day_tally (day);

-- How often buttons of distributions were tapped.
CREATE TABLE tap_tally (
    distribution BLOB NOT NULL,
    individual INTEGER NOT NULL,       -- of the individual message, or of the uniform one
    place INTEGER NOT NULL,            -- which button, from 0
    count INTEGER NOT NULL,
    PRIMARY KEY (distribution, individual, place)
) WITHOUT ROWID;
