-- Copies in custody that are blind: keyed digests of customers in place of customers. Programs of before would take such a copy for an
-- empty one and reject everybody; they may not run beside this schema.

UPDATE schema_floor SET needs = 9;

ALTER TABLE custody ADD COLUMN digest_rules BIGINT; -- which version of the rules of matching made the digests; null: customers are plain
ALTER TABLE custody ADD COLUMN digest_key BYTEA;    -- what they were made with, sealed; gone as soon as the copy answers no more

-- The customers of these copies. The account is a digest, too.
CREATE TABLE blind_customer (
    company TEXT COLLATE "C" NOT NULL,
    copy BIGINT NOT NULL,
    account BYTEA NOT NULL,
    customer_id TEXT COLLATE "C" NOT NULL,
    digests BYTEA NOT NULL,
    PRIMARY KEY (company, copy, account, customer_id)
);
ALTER TABLE blind_customer ENABLE ROW LEVEL SECURITY;
ALTER TABLE blind_customer FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE, DELETE ON blind_customer TO musubi_node, musubi_company;
CREATE POLICY node ON blind_customer TO musubi_node USING (true);
CREATE POLICY company ON blind_customer TO musubi_company USING (company = current_setting('musubi.company', true));
