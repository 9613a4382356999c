-- Personal data is sealed with keys of the company. SQL can't seal, so what stands in the clear becomes bytes that say so (the first
-- of them is 0), and the server seals them before it serves anything.
-- Programs of before know nothing of keys; they may not run beside this schema.

UPDATE schema_floor SET needs = 2;

-- The company's keys, each wrapped by a master key that is not here.
CREATE TABLE company_key (
    company     TEXT COLLATE "C" NOT NULL,
    epoch       BIGINT NOT NULL,       -- 0: makes the hashes that rows are found by, and stays
    wrapped     BYTEA NOT NULL,
    create_time BIGINT NOT NULL,
    use_time    BIGINT NOT NULL,       -- nobody seals with it before
    empty_time  BIGINT,                -- when a walk found no row of it
    PRIMARY KEY (company, epoch)
);

-- Whose keys seal what belongs to an official account: no account is known here.
CREATE TABLE keyed_account (
    official_account TEXT COLLATE "C" PRIMARY KEY,
    company          TEXT COLLATE "C" NOT NULL
);

-- Tables with rows that stand in the clear.
CREATE TABLE unsealed (relation TEXT COLLATE "C" PRIMARY KEY);
INSERT INTO unsealed SELECT 'customers' WHERE EXISTS (SELECT 1 FROM customers);

-- All that a row of the master says and what matching made of it, sealed; found by a keyed hash of the account number, and compared
-- by one of all it says.
ALTER TABLE customers ADD COLUMN fingerprint BYTEA NOT NULL DEFAULT '', ADD COLUMN record BYTEA NOT NULL DEFAULT '';
UPDATE customers SET record = '\x00'::bytea || convert_to(json_build_array(name, name_kana, birth_date, address, branch_number,
    account_number, account_key, identity_verification, encode(match_keys, 'hex'))::text, 'UTF8');
ALTER TABLE customers ALTER COLUMN account_key TYPE BYTEA USING convert_to(account_key, 'UTF8'),
    ALTER COLUMN fingerprint DROP DEFAULT, ALTER COLUMN record DROP DEFAULT,
    DROP COLUMN name, DROP COLUMN name_kana, DROP COLUMN birth_date, DROP COLUMN address, DROP COLUMN branch_number,
    DROP COLUMN account_number, DROP COLUMN identity_verification, DROP COLUMN match_keys;

-- What an import that was killed left staged is of no use.
DROP TABLE staged_customers;
CREATE TABLE staged_customers (
    customer_id   TEXT COLLATE "C" PRIMARY KEY,
    account_key   BYTEA NOT NULL,
    fingerprint   BYTEA NOT NULL,
    record        BYTEA NOT NULL,
    rules_version BIGINT NOT NULL
);
