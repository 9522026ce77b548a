-- The inventory of a fleet: what each host has, and who changed it when and from where.
--
-- A host is the role that its session logged in as, whatever SET ROLE says later. Who may do what is
-- decided here and nowhere else:
--   dns_persist_host     writes what is its own; of others it reads the account URIs, thumbprints,
--                        validation names and hashes of values, through two views
--   dns_persist_auditor  reads everything
--   dns_persist_admin    reads everything, removes hosts and records
-- Each login role is a member of one of them. Only the owner of these tables can change the history.

CREATE SCHEMA dns_persist;

-- Roles belong to the whole server, so another database may have made them.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['dns_persist_host', 'dns_persist_auditor', 'dns_persist_admin']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    -- Nobody else makes even temporary tables here.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO dns_persist_host, dns_persist_auditor, dns_persist_admin',
        current_database()
    );
END
$$;

GRANT USAGE ON SCHEMA dns_persist TO dns_persist_host, dns_persist_auditor, dns_persist_admin;

CREATE TABLE dns_persist.schema_version (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL DEFAULT session_user
);
GRANT SELECT ON dns_persist.schema_version
    TO dns_persist_host, dns_persist_auditor, dns_persist_admin;

-- What strangers may write is limited.
CREATE DOMAIN dns_persist.line AS text CHECK (octet_length(VALUE) <= 2048);
CREATE DOMAIN dns_persist.domain_name AS text CHECK (octet_length(VALUE) <= 255);

-- A generated column needs what always returns the same, and convert_to is only declared stable: it
-- depends on the encoding of the database, which never changes.
CREATE FUNCTION dns_persist.hash_of(value text) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT sha256(convert_to(value, 'UTF8')) $$;

CREATE TABLE dns_persist.host (
    name name PRIMARY KEY DEFAULT session_user,
    hostname dns_persist.line NOT NULL,
    pushed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE dns_persist.account (
    host name NOT NULL DEFAULT session_user REFERENCES dns_persist.host ON DELETE CASCADE,
    url dns_persist.line NOT NULL,
    server dns_persist.line NOT NULL,
    thumbprints text[] NOT NULL CHECK (octet_length(array_to_string(thumbprints, ' ')) <= 10000),
    uris text[] NOT NULL CHECK (octet_length(array_to_string(uris, ' ')) <= 10000),
    issuer_domain_names text[] NOT NULL
        CHECK (octet_length(array_to_string(issuer_domain_names, ' ')) <= 10000),
    hash_prefix dns_persist.line,
    former boolean NOT NULL,
    PRIMARY KEY (host, url)
);

CREATE TABLE dns_persist.record (
    host name NOT NULL DEFAULT session_user REFERENCES dns_persist.host ON DELETE CASCADE,
    name dns_persist.domain_name NOT NULL,
    value text NOT NULL CHECK (octet_length(value) <= 65535),
    value_hash bytea GENERATED ALWAYS AS (dns_persist.hash_of(value)) STORED,
    domain dns_persist.domain_name NOT NULL,
    server dns_persist.line NOT NULL,
    account_url dns_persist.line NOT NULL,
    provider dns_persist.line NOT NULL,
    persist_until bigint,
    first_published timestamptz,
    last_changed timestamptz NOT NULL,
    doubt dns_persist.line,
    PRIMARY KEY (host, name, value_hash)
);
CREATE INDEX record_by_name ON dns_persist.record (name);

CREATE TABLE dns_persist.certificate (
    host name NOT NULL DEFAULT session_user REFERENCES dns_persist.host ON DELETE CASCADE,
    name dns_persist.line NOT NULL,
    domains text[] NOT NULL CHECK (octet_length(array_to_string(domains, ' ')) <= 1000000),
    not_after timestamptz NOT NULL,
    server dns_persist.line NOT NULL,
    account_url dns_persist.line NOT NULL,
    PRIMARY KEY (host, name)
);

-- Who may do what

ALTER TABLE dns_persist.host ENABLE ROW LEVEL SECURITY;
ALTER TABLE dns_persist.account ENABLE ROW LEVEL SECURITY;
ALTER TABLE dns_persist.record ENABLE ROW LEVEL SECURITY;
ALTER TABLE dns_persist.certificate ENABLE ROW LEVEL SECURITY;

CREATE POLICY own ON dns_persist.host TO dns_persist_host
    USING (name = session_user) WITH CHECK (name = session_user);
CREATE POLICY own ON dns_persist.account TO dns_persist_host
    USING (host = session_user) WITH CHECK (host = session_user);
CREATE POLICY own ON dns_persist.record TO dns_persist_host
    USING (host = session_user) WITH CHECK (host = session_user);
CREATE POLICY own ON dns_persist.certificate TO dns_persist_host
    USING (host = session_user) WITH CHECK (host = session_user);

CREATE POLICY see ON dns_persist.host FOR SELECT
    TO dns_persist_auditor, dns_persist_admin USING (true);
CREATE POLICY see ON dns_persist.account FOR SELECT
    TO dns_persist_auditor, dns_persist_admin USING (true);
CREATE POLICY see ON dns_persist.record FOR SELECT
    TO dns_persist_auditor, dns_persist_admin USING (true);
CREATE POLICY see ON dns_persist.certificate FOR SELECT
    TO dns_persist_auditor, dns_persist_admin USING (true);

CREATE POLICY forget ON dns_persist.host FOR DELETE TO dns_persist_admin USING (true);
CREATE POLICY revoke ON dns_persist.record FOR DELETE TO dns_persist_admin USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON dns_persist.host, dns_persist.account, dns_persist.record, dns_persist.certificate
    TO dns_persist_host;
GRANT SELECT
    ON dns_persist.host, dns_persist.account, dns_persist.record, dns_persist.certificate
    TO dns_persist_auditor, dns_persist_admin;
GRANT DELETE ON dns_persist.host, dns_persist.record TO dns_persist_admin;

CREATE FUNCTION dns_persist.sees_all() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT pg_has_role(session_user, 'dns_persist_auditor', 'USAGE')
            OR pg_has_role(session_user, 'dns_persist_admin', 'USAGE')
    $$;
GRANT EXECUTE ON FUNCTION dns_persist.sees_all()
    TO dns_persist_host, dns_persist_auditor, dns_persist_admin;

-- What a host may know of others: these views have their owner's rights. Whose it is, and what else
-- there is to know, they show only to those who may read everything.
CREATE VIEW dns_persist.fleet_account WITH (security_barrier) AS
    SELECT DISTINCT
        url,
        thumbprints,
        uris,
        CASE WHEN dns_persist.sees_all() OR host = session_user THEN former END AS former,
        CASE WHEN dns_persist.sees_all() OR host = session_user THEN host END AS host
    FROM dns_persist.account;

CREATE VIEW dns_persist.fleet_record WITH (security_barrier) AS
    SELECT DISTINCT
        name,
        value_hash,
        host = session_user AS mine,
        CASE WHEN dns_persist.sees_all() OR host = session_user THEN host END AS host
    FROM dns_persist.record;

GRANT SELECT ON dns_persist.fleet_account, dns_persist.fleet_record
    TO dns_persist_host, dns_persist_auditor, dns_persist_admin;

-- History

CREATE TABLE dns_persist.history (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who name NOT NULL DEFAULT session_user,
    address inet DEFAULT inet_client_addr(),
    program text NOT NULL DEFAULT current_setting('application_name'),
    host name NOT NULL,
    kind text NOT NULL,
    action text NOT NULL,
    before jsonb,
    after jsonb
);
CREATE INDEX history_by_host ON dns_persist.history (host, number);
GRANT SELECT ON dns_persist.history TO dns_persist_auditor, dns_persist_admin;

CREATE FUNCTION dns_persist.keep_history() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'pushed_at' END;
    after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'pushed_at' END;
    place text := CASE WHEN TG_TABLE_NAME = 'host' THEN 'name' ELSE 'host' END;
BEGIN
    IF before IS DISTINCT FROM after THEN
        INSERT INTO dns_persist.history (host, kind, action, before, after)
        VALUES (coalesce(after, before) ->> place, TG_TABLE_NAME, lower(TG_OP), before, after);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_history AFTER INSERT OR UPDATE OR DELETE ON dns_persist.host
    FOR EACH ROW EXECUTE FUNCTION dns_persist.keep_history();
CREATE TRIGGER keep_history AFTER INSERT OR UPDATE OR DELETE ON dns_persist.account
    FOR EACH ROW EXECUTE FUNCTION dns_persist.keep_history();
CREATE TRIGGER keep_history AFTER INSERT OR UPDATE OR DELETE ON dns_persist.record
    FOR EACH ROW EXECUTE FUNCTION dns_persist.keep_history();
CREATE TRIGGER keep_history AFTER INSERT OR UPDATE OR DELETE ON dns_persist.certificate
    FOR EACH ROW EXECUTE FUNCTION dns_persist.keep_history();
