-- Persons lie in the order in which they came, not in that of their credentials, which is none: so a batch touches few pages.
CREATE TABLE new_persons (
    method        TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    msisdn        INTEGER NOT NULL,
    pin           TEXT NOT NULL,
    name          TEXT NOT NULL,
    name_kana     TEXT,
    birth_date    TEXT NOT NULL,
    address       TEXT NOT NULL,
    PRIMARY KEY (method, credential_id)
) STRICT;
INSERT INTO new_persons SELECT * FROM persons;
DROP TABLE persons;
ALTER TABLE new_persons RENAME TO persons;
