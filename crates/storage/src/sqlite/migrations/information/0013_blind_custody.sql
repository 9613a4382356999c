-- Copies in custody that are blind: keyed digests of customers in place of customers.

ALTER TABLE custody ADD COLUMN digest_rules INTEGER; -- which version of the rules of matching made the digests; null: customers are plain
ALTER TABLE custody ADD COLUMN digest_key BLOB;      -- what they were made with, sealed; gone as soon as the copy answers no more

-- The customers of these copies. The account is a digest, too.
CREATE TABLE blind_customer (
    company TEXT NOT NULL,
    copy INTEGER NOT NULL,
    account BLOB NOT NULL,
    customer_id TEXT NOT NULL,
    digests BLOB NOT NULL,
    PRIMARY KEY (company, copy, account, customer_id)
) WITHOUT ROWID;
