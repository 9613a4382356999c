-- Whether the last copy was blind: which version of the rules of matching made its digests; null: customers were plain.
ALTER TABLE custody_events ADD COLUMN digest_rules BIGINT;
