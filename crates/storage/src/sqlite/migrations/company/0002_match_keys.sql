-- What matching made of each customer once, and which version of its rules did. Rows of before have keys of version 0, which no
-- rules can read, so all of them are made anew.

ALTER TABLE customers ADD COLUMN rules_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE customers ADD COLUMN match_keys BLOB NOT NULL DEFAULT x'';

-- Rows whose keys other rules made are the two ends of it. A master that is up to date has neither.
CREATE INDEX customers_by_rules ON customers (rules_version);

ALTER TABLE staged_customers ADD COLUMN rules_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE staged_customers ADD COLUMN match_keys BLOB NOT NULL DEFAULT x'';
