-- What matching made of each entrusted customer once, and which version of its rules did, as company servers keep it. Rows of
-- before have keys of version 0, which no rules can read, so all of them are made anew.

ALTER TABLE entrusted_customer ADD COLUMN rules_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entrusted_customer ADD COLUMN match_keys BLOB NOT NULL DEFAULT x'';

-- Rows whose keys other rules made are the two ends of it. Copies that are up to date have neither.
CREATE INDEX entrusted_customer_by_rules ON entrusted_customer (rules_version);
