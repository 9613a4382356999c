-- Row-level security. A node works as musubi_node, which owns nothing and sees all rows; whatever it does for one company it does as
-- musubi_company, which sees that company's rows alone: those of the setting musubi.company. Without it, it sees none.
-- Both are roles of the whole server, made here where they are not there yet and this user may make them. Programs of before work on.

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['musubi_node', 'musubi_company'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
            -- The node may become what it is for a company.
            EXECUTE format('CREATE ROLE %I NOLOGIN %s', name, CASE name WHEN 'musubi_company' THEN 'ROLE musubi_node' END);
        END IF;
    END LOOP;
    -- Who owns the tables may work as a node.
    IF NOT pg_has_role('musubi_node', 'MEMBER') THEN
        EXECUTE format('GRANT musubi_node TO %I', current_user);
    END IF;
EXCEPTION
    -- Another database of the server was migrated at the same time.
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- Whose rows a table has is found by its columns. What no company does anything with, it has no rights on.
DO $$
DECLARE
    kept RECORD;
    owner TEXT;
BEGIN
    FOR kept IN
        SELECT c.relname AS name,
            array(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0) AS columns
        FROM pg_class AS c
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
            AND c.relname NOT IN ('_sqlx_migrations', 'schema_floor')
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', kept.name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', kept.name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO musubi_node', kept.name);
        EXECUTE format('CREATE POLICY node ON %I TO musubi_node USING (true)', kept.name);
        CONTINUE WHEN kept.name IN ('company_key', 'inbox', 'unsealed', 'audit_seal', 'audit_mark');
        owner := CASE
            WHEN 'company' = ANY (kept.columns) THEN 'company = current_setting(''musubi.company'', true)'
            WHEN 'official_account' = ANY (kept.columns) THEN 'official_account IN (SELECT k.official_account FROM keyed_account AS k)'
            ELSE 'EXISTS (SELECT 1 FROM distribution AS d WHERE d.distribution_id = distribution)'
        END;
        EXECUTE format('CREATE POLICY company ON %I TO musubi_company USING (%s)', kept.name, owner);
        EXECUTE format('GRANT %s ON %I TO musubi_company', CASE kept.name
            WHEN 'audit' THEN 'INSERT'
            WHEN 'keyed_account' THEN 'SELECT'
            WHEN 'guess' THEN 'SELECT'
            ELSE 'SELECT, INSERT, UPDATE, DELETE'
        END, kept.name);
    END LOOP;
END
$$;
GRANT SELECT ON _sqlx_migrations, schema_floor TO musubi_node;
CREATE INDEX keyed_account_company ON keyed_account (company);
