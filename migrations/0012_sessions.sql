-- Who signed out of what: the truth behind what Redis is asked on each request.

CREATE SCHEMA sessions;

CREATE TABLE sessions.sign_outs (
    person_id uuid NOT NULL,
    session_id uuid NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (person_id, session_id)
);

COMMENT ON TABLE sessions.sign_outs IS
    'Sessions that their person ended. A row goes when no directory could still refresh its tokens.';

CREATE INDEX sign_outs_by_age ON sessions.sign_outs (ended_at);

CREATE TABLE sessions.sign_outs_everywhere (
    person_id uuid PRIMARY KEY,
    signed_in_until timestamptz NOT NULL
);

COMMENT ON COLUMN sessions.sign_outs_everywhere.signed_in_until IS
    'Whatever the person signed in to up to this moment is over.';

-- audit.admit of migration 0010, which let the application use every schema that there was.
CREATE PROCEDURE sessions.admit(application name)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA sessions TO %I', application);
    EXECUTE format(
        'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessions TO %I', application
    );
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES IN SCHEMA sessions '
        'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I',
        application
    );
END
$$;

COMMENT ON PROCEDURE sessions.admit IS
    'Like audit.admit, for this schema. A role made after the migration needs both.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'platform_app') THEN
        CALL sessions.admit('platform_app');
    END IF;
END
$$;
