-- Personal data is sealed with keys of its company. SQL can't seal, so what stands in the clear becomes bytes that say so (the first
-- of them is 0), and the server seals them before it serves anything.
-- Programs of before know nothing of keys; they may not run beside this schema.

UPDATE schema_floor SET needs = 3;

-- The keys of companies, each wrapped by a master key that is not here.
CREATE TABLE company_key (
    company TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,             -- 0: makes the hashes that rows are found by, and stays
    wrapped BYTEA NOT NULL,
    create_time BIGINT NOT NULL,
    use_time BIGINT NOT NULL,          -- nobody seals with it before
    empty_time BIGINT,                 -- when a walk found no row of it
    PRIMARY KEY (company, epoch)
);

-- Whose keys seal what belongs to an official account.
CREATE TABLE keyed_account (
    official_account TEXT COLLATE "C" PRIMARY KEY,
    company TEXT COLLATE "C" NOT NULL
);

-- Tables with rows that stand in the clear.
CREATE TABLE unsealed (relation TEXT COLLATE "C" PRIMARY KEY);
INSERT INTO unsealed SELECT 'follower' WHERE EXISTS (SELECT 1 FROM follower);
INSERT INTO unsealed SELECT 'dialogue' WHERE EXISTS (SELECT 1 FROM dialogue WHERE account_number IS NOT NULL);
INSERT INTO unsealed SELECT 'inquiry' WHERE EXISTS (SELECT 1 FROM inquiry);
INSERT INTO unsealed SELECT 'review' WHERE EXISTS (SELECT 1 FROM review WHERE sealed IS NOT NULL);
INSERT INTO unsealed SELECT 'distribution_value' WHERE EXISTS (SELECT 1 FROM distribution_value);
INSERT INTO unsealed SELECT 'entrusted_customer' WHERE EXISTS (SELECT 1 FROM entrusted_customer);

ALTER TABLE follower ALTER COLUMN phone_number TYPE BYTEA USING '\x00'::bytea || convert_to(phone_number, 'UTF8');

-- What was typed, until the match is decided.
ALTER TABLE dialogue ADD COLUMN given BYTEA;
UPDATE dialogue SET given = '\x00'::bytea
    || convert_to(json_build_object('branch_number', branch_number, 'account_number', account_number)::text, 'UTF8')
WHERE account_number IS NOT NULL;
ALTER TABLE dialogue DROP COLUMN branch_number, DROP COLUMN account_number;
CREATE INDEX dialogue_given ON dialogue (official_account, follower) WHERE given IS NOT NULL;

-- What was typed, and the attested identity.
ALTER TABLE inquiry ADD COLUMN subject BYTEA;
UPDATE inquiry SET subject = '\x00'::bytea || convert_to(json_build_object(
    'account', json_build_object('branch_number', branch_number, 'account_number', account_number),
    'identity', identity::json)::text, 'UTF8');
ALTER TABLE inquiry ALTER COLUMN subject SET NOT NULL, DROP COLUMN branch_number, DROP COLUMN account_number, DROP COLUMN identity;

ALTER TABLE distribution_value ALTER COLUMN variables TYPE BYTEA USING '\x00'::bytea || convert_to(variables, 'UTF8');

-- All that a row says and what matching made of it; found by a keyed hash of the account number.
ALTER TABLE entrusted_customer ADD COLUMN record BYTEA;
UPDATE entrusted_customer SET record = '\x00'::bytea || convert_to(json_build_array(
    name, name_kana, birth_date, address, branch_number, account_number, account_key, '', encode(match_keys, 'hex'))::text, 'UTF8');
ALTER TABLE entrusted_customer ALTER COLUMN record SET NOT NULL, DROP COLUMN name, DROP COLUMN name_kana, DROP COLUMN birth_date,
    DROP COLUMN address, DROP COLUMN branch_number, DROP COLUMN account_number, DROP COLUMN match_keys;
ALTER TABLE entrusted_customer ALTER COLUMN account_key TYPE BYTEA USING convert_to(account_key, 'UTF8');
