-- The application connects as a role that owns nothing: it can use the tables, not change what they
-- are, and it can add to the audit trail, not alter it.

CREATE PROCEDURE audit.admit(application name)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    schema_name text;
BEGIN
    FOREACH schema_name IN ARRAY ARRAY[
        'messaging', 'products', 'customers', 'orders', 'payments', 'notifications'
    ] LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema_name, application);
        EXECUTE format(
            'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I',
            schema_name, application
        );
        EXECUTE format(
            'GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I', schema_name, application
        );
        EXECUTE format(
            'ALTER DEFAULT PRIVILEGES IN SCHEMA %I '
            'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I',
            schema_name, application
        );
        EXECUTE format(
            'ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT USAGE, SELECT ON SEQUENCES TO %I',
            schema_name, application
        );
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA audit TO %I', application);
    -- On the tables, not on their partitions: there is no way around the tables.
    EXECUTE format(
        'GRANT SELECT, INSERT ON audit.audit_logs, audit.gdpr_audit_trail, audit.details TO %I',
        application
    );
    EXECUTE format('GRANT SELECT ON audit.entries TO %I', application);
    EXECUTE format('GRANT SELECT, UPDATE ON audit.chain_head TO %I', application);
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION audit.make_partitions, audit.erase_details TO %I', application
    );
END
$$;

COMMENT ON PROCEDURE audit.admit IS
    'Lets a role use the platform as its application. A role made after the migration needs it.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'platform_app') THEN
        CALL audit.admit('platform_app');
    END IF;
END
$$;
