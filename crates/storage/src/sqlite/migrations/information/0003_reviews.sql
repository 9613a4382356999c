-- Reviews: inquiries that people decide. What a person typed and what was attested stands sealed, and only while a review waits.

CREATE TABLE review (
    review_id BLOB NOT NULL PRIMARY KEY,
    company TEXT NOT NULL,
    official_account TEXT NOT NULL,
    follower BLOB NOT NULL,
    dialogue_id BLOB NOT NULL,
    inquiry_id BLOB NOT NULL,
    proposed_customer TEXT,
    method TEXT NOT NULL,
    reasons TEXT NOT NULL,
    sealed BLOB,                       -- gone once it waits no more
    state INTEGER NOT NULL,            -- 0 and 1 wait: open, approved once
    decisions TEXT NOT NULL,           -- who said what and when: [[operator, verdict, instant], …]
    open_time INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    close_time INTEGER,                -- when it was decided, expired or withdrawn
    CHECK ((state < 2) = (sealed IS NOT NULL)),
    CHECK ((state < 2) = (close_time IS NULL))
);
CREATE UNIQUE INDEX review_waiting ON review (official_account, follower) WHERE state < 2;
CREATE INDEX review_company ON review (company, open_time, review_id);
CREATE INDEX review_state ON review (company, state, open_time, review_id);

-- The customer whom the number was tied to last, once that tie has ended.
ALTER TABLE follower ADD COLUMN former_customer TEXT;

-- A customer is tied to one number of an account. Of several the newest tie stays; the others go as if their people had untied
-- them, and are asked again in a year.
CREATE TEMP TABLE surplus AS
SELECT official_account, follower, tie_id, customer_id FROM (
    SELECT *, row_number() OVER (PARTITION BY official_account, customer_id ORDER BY tie_time DESC, follower) AS place
    FROM customer_information)
WHERE place > 1;
INSERT INTO audit (time, company, official_account, follower, action, detail)
SELECT unixepoch() * 1000000, d.company, s.official_account, s.follower, 'untied', 'tie_' || lower(hex(s.tie_id)) || ' one of several'
FROM surplus AS s JOIN (SELECT DISTINCT company, official_account FROM audit WHERE action = 'tied') AS d
    ON d.official_account = s.official_account;
UPDATE follower SET former_customer = s.customer_id FROM surplus AS s
WHERE follower.official_account = s.official_account AND follower.follower = s.follower;
UPDATE dialogue SET state = 9, due_time = unixepoch() * 1000000 + 31536000000000, state_time = unixepoch() * 1000000
FROM surplus AS s
WHERE dialogue.official_account = s.official_account AND dialogue.follower = s.follower AND dialogue.state = 5;
DELETE FROM customer_information WHERE (official_account, follower) IN (SELECT official_account, follower FROM surplus);
DROP TABLE surplus;
CREATE UNIQUE INDEX customer_information_customer ON customer_information (official_account, customer_id);

-- What was in review before has nothing to be decided by; it expires as a review does.
UPDATE dialogue SET due_time = state_time + 1209600000000 WHERE state = 7 AND due_time IS NULL;

DELETE FROM follower_tally;
INSERT INTO follower_tally
SELECT f.official_account, f.carrier, f.following, coalesce(d.state, -1), coalesce(d.reached, 0), count(*)
FROM follower AS f LEFT JOIN dialogue AS d ON d.official_account = f.official_account AND d.follower = f.follower
GROUP BY 1, 2, 3, 4, 5;
