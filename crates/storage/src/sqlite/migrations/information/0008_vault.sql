-- Personal data is sealed with keys of its company. SQL can't seal, so what stands in the clear becomes bytes that say so (the first
-- of them is 0), and the server seals them before it serves anything.

-- The keys of companies, each wrapped by a master key that is not here.
CREATE TABLE company_key (
    company TEXT NOT NULL,
    epoch INTEGER NOT NULL,            -- 0: makes the hashes that rows are found by, and stays
    wrapped BLOB NOT NULL,
    create_time INTEGER NOT NULL,
    use_time INTEGER NOT NULL,         -- nobody seals with it before
    empty_time INTEGER,                -- when a walk found no row of it
    PRIMARY KEY (company, epoch)
) WITHOUT ROWID;

-- Whose keys seal what belongs to an official account.
CREATE TABLE keyed_account (
    official_account TEXT NOT NULL PRIMARY KEY,
    company TEXT NOT NULL
) WITHOUT ROWID;

-- Tables with rows that stand in the clear.
CREATE TABLE unsealed (relation TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
INSERT INTO unsealed SELECT 'follower' WHERE EXISTS (SELECT 1 FROM follower);
INSERT INTO unsealed SELECT 'dialogue' WHERE EXISTS (SELECT 1 FROM dialogue WHERE account_number IS NOT NULL);
INSERT INTO unsealed SELECT 'inquiry' WHERE EXISTS (SELECT 1 FROM inquiry);
INSERT INTO unsealed SELECT 'review' WHERE EXISTS (SELECT 1 FROM review WHERE sealed IS NOT NULL);
INSERT INTO unsealed SELECT 'distribution_value' WHERE EXISTS (SELECT 1 FROM distribution_value);
INSERT INTO unsealed SELECT 'entrusted_customer' WHERE EXISTS (SELECT 1 FROM entrusted_customer);

ALTER TABLE follower ADD COLUMN sealed_number BLOB NOT NULL DEFAULT x'';
UPDATE follower SET sealed_number = CAST(x'00' || phone_number AS BLOB);
ALTER TABLE follower DROP COLUMN phone_number;
ALTER TABLE follower RENAME COLUMN sealed_number TO phone_number;

-- What was typed, until the match is decided.
ALTER TABLE dialogue ADD COLUMN given BLOB;
UPDATE dialogue SET given =
    CAST(x'00' || json_object('branch_number', branch_number, 'account_number', account_number) AS BLOB)
WHERE account_number IS NOT NULL;
ALTER TABLE dialogue DROP COLUMN branch_number;
ALTER TABLE dialogue DROP COLUMN account_number;
CREATE INDEX dialogue_given ON dialogue (number) WHERE given IS NOT NULL;

-- What was typed, and the attested identity.
ALTER TABLE inquiry ADD COLUMN subject BLOB NOT NULL DEFAULT x'';
UPDATE inquiry SET subject = CAST(x'00' || json_object(
    'account', json_object('branch_number', branch_number, 'account_number', account_number), 'identity', json(identity)) AS BLOB);
ALTER TABLE inquiry DROP COLUMN branch_number;
ALTER TABLE inquiry DROP COLUMN account_number;
ALTER TABLE inquiry DROP COLUMN identity;

ALTER TABLE distribution_value ADD COLUMN sealed BLOB NOT NULL DEFAULT x'';
UPDATE distribution_value SET sealed = CAST(x'00' || variables AS BLOB);
ALTER TABLE distribution_value DROP COLUMN variables;
ALTER TABLE distribution_value RENAME COLUMN sealed TO variables;

-- All that a row says and what matching made of it; found by a keyed hash of the account number.
CREATE TABLE new_entrusted_customer (
    company TEXT NOT NULL,
    copy INTEGER NOT NULL,
    account_key BLOB NOT NULL,
    customer_id TEXT NOT NULL,
    record BLOB NOT NULL,
    rules_version INTEGER NOT NULL,
    PRIMARY KEY (company, copy, account_key, customer_id)
);
INSERT INTO new_entrusted_customer
SELECT company, copy, CAST(account_key AS BLOB), customer_id,
    CAST(x'00' || json_array(name, name_kana, birth_date, address, branch_number, account_number, account_key, '', hex(match_keys)) AS BLOB),
    rules_version
FROM entrusted_customer ORDER BY rowid;
DROP TABLE entrusted_customer;
ALTER TABLE new_entrusted_customer RENAME TO entrusted_customer;
CREATE INDEX entrusted_customer_by_rules ON entrusted_customer (rules_version);
