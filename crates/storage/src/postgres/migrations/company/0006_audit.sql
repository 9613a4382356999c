-- The audit: who looked at the master or changed it, and who was refused. Programs of before write no lines; they may not run beside this schema.

UPDATE schema_floor SET needs = 6;

CREATE TABLE audit (
    audit_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time BIGINT NOT NULL,
    company TEXT COLLATE "C" NOT NULL,
    official_account TEXT COLLATE "C", -- as at the information-management server; nobody's here
    follower UUID,
    action TEXT COLLATE "C" NOT NULL,
    detail TEXT NOT NULL
);

-- Seals over the audit's lines, each bound to the one before; and nobody changes or removes a line or a seal.
CREATE TABLE audit_seal (
    number BIGINT PRIMARY KEY,
    first_id BIGINT NOT NULL,
    last_id BIGINT NOT NULL,
    count BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    previous BYTEA NOT NULL,
    time BIGINT NOT NULL,
    key_id BYTEA NOT NULL,
    signature BYTEA NOT NULL
);

-- Up to which line nothing can come any more. Lines get their ids before they are committed, so a lower one may come later:
-- next_id was given out at the look before last, last_id at the one before it; every transaction that got an id up to last_id is older
-- than xact, and when none of those runs any more, all that was to come has come. Who seals holds the row. It is of this database and
-- nothing that a node tells, and so has no primary key.
CREATE TABLE audit_mark (
    mark SMALLINT NOT NULL UNIQUE CHECK (mark = 1),
    last_id BIGINT NOT NULL,
    next_id BIGINT NOT NULL,
    xact XID8 NOT NULL
);
INSERT INTO audit_mark VALUES (1, 0, 0, '0');

CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is only added to';
END
$$;
CREATE TRIGGER audit_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();
CREATE TRIGGER audit_seal_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();
