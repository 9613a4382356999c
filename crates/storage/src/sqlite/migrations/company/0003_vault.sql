-- Personal data is sealed with keys of the company. SQL can't seal, so what stands in the clear becomes bytes that say so (the first
-- of them is 0), and the server seals them before it serves anything.

-- The company's keys, each wrapped by a master key that is not here.
CREATE TABLE company_key (
    company     TEXT NOT NULL,
    epoch       INTEGER NOT NULL,      -- 0: makes the hashes that rows are found by, and stays
    wrapped     BLOB NOT NULL,
    create_time INTEGER NOT NULL,
    use_time    INTEGER NOT NULL,      -- nobody seals with it before
    empty_time  INTEGER,               -- when a walk found no row of it
    PRIMARY KEY (company, epoch)
) STRICT, WITHOUT ROWID;

-- Whose keys seal what belongs to an official account: no account is known here.
CREATE TABLE keyed_account (
    official_account TEXT NOT NULL PRIMARY KEY,
    company          TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Tables with rows that stand in the clear.
CREATE TABLE unsealed (relation TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO unsealed SELECT 'customers' WHERE EXISTS (SELECT 1 FROM customers);

-- All that a row of the master says and what matching made of it, sealed; found by a keyed hash of the account number, and compared
-- by one of all it says.
CREATE TABLE new_customers (
    customer_id   TEXT PRIMARY KEY,
    account_key   BLOB NOT NULL,
    fingerprint   BLOB NOT NULL,
    record        BLOB NOT NULL,
    rules_version INTEGER NOT NULL,
    update_time   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_customers
SELECT customer_id, CAST(account_key AS BLOB), x'',
    CAST(x'00' || json_array(name, name_kana, birth_date, address, branch_number, account_number, account_key, identity_verification,
        hex(match_keys)) AS BLOB),
    rules_version, update_time
FROM customers ORDER BY customer_id;
DROP TABLE customers;
ALTER TABLE new_customers RENAME TO customers;
CREATE INDEX customers_by_account ON customers (account_key);
CREATE INDEX customers_by_rules ON customers (rules_version);

-- What an import that was killed left staged is of no use.
DROP TABLE staged_customers;
CREATE TABLE staged_customers (
    customer_id   TEXT PRIMARY KEY,
    account_key   BLOB NOT NULL,
    fingerprint   BLOB NOT NULL,
    record        BLOB NOT NULL,
    rules_version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
