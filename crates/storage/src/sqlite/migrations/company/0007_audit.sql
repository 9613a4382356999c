-- The audit: who looked at the master or changed it, and who was refused.
CREATE TABLE audit (
    audit_id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    company TEXT NOT NULL,
    official_account TEXT,             -- as at the information-management server; nobody's here
    follower BLOB,
    action TEXT NOT NULL,
    detail TEXT NOT NULL
);

-- Seals over the audit's lines, each bound to the one before; and nobody changes or removes a line or a seal.
CREATE TABLE audit_seal (
    number INTEGER PRIMARY KEY,
    first_id INTEGER NOT NULL,
    last_id INTEGER NOT NULL,
    count INTEGER NOT NULL,
    digest BLOB NOT NULL,
    previous BLOB NOT NULL,
    time INTEGER NOT NULL,
    key_id BLOB NOT NULL,
    signature BLOB NOT NULL
);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_seal_is_not_changed BEFORE UPDATE ON audit_seal BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_seal_is_not_removed BEFORE DELETE ON audit_seal BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
