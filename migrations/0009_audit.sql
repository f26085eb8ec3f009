-- What happened, in a chain of hashes that shows every later change, and what may be erased again.
--
-- blueprints/audit/chain.py says byte by byte what an entry's hash covers. Every rule against
-- changes below is a fence that keeps mistakes out; what proves that nobody climbed over it is the
-- chain and its anchors outside of this database.

CREATE SCHEMA audit;

CREATE TABLE audit.chain_head (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    seq bigint NOT NULL,
    entry_hash bytea NOT NULL CHECK (octet_length(entry_hash) = 32),
    recorded_at timestamptz NOT NULL
);

COMMENT ON TABLE audit.chain_head IS
    'The last entry of the chain. Whoever adds to the chain locks this row first.';

INSERT INTO audit.chain_head (seq, entry_hash, recorded_at)
VALUES (0, decode(repeat('00', 32), 'hex'), 'epoch');

CREATE TABLE audit.audit_logs (
    seq bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    ledger text NOT NULL,
    origin text NOT NULL CHECK (origin IN ('event', 'manual', 'access', 'erasure')),
    action text NOT NULL CHECK (action ~ '^[a-z][a-z0-9_.]{0,127}$'),
    actor_kind text NOT NULL CHECK (actor_kind IN ('client', 'employee', 'platform')),
    actor_id uuid,
    subject_kind text NOT NULL CHECK (subject_kind ~ '^[a-z][a-z0-9_]{0,39}$'),
    subject_id uuid NOT NULL,
    order_id uuid,
    person_id uuid,
    event_id text,
    operation text,
    fields text,
    correlation_id text NOT NULL,
    commitment bytea CHECK (octet_length(commitment) = 32),
    previous_hash bytea NOT NULL CHECK (octet_length(previous_hash) = 32),
    entry_hash bytea NOT NULL CHECK (octet_length(entry_hash) = 32),
    PRIMARY KEY (recorded_at, seq),
    CONSTRAINT of_this_ledger CHECK (ledger = 'logs')
) PARTITION BY RANGE (recorded_at);

COMMENT ON TABLE audit.audit_logs IS
    'Entries of the chain: what happened to what, by whom. Ids only: words are in details.';
COMMENT ON COLUMN audit.audit_logs.recorded_at IS
    'When the entry was written; never before that of the entry with the previous number.';
COMMENT ON COLUMN audit.audit_logs.person_id IS
    'Whose data the entry is about: erasing this person erases its details.';
COMMENT ON COLUMN audit.audit_logs.commitment IS
    'Salted hash of the details; absent for an entry without.';

CREATE TABLE audit.gdpr_audit_trail (
    LIKE audit.audit_logs INCLUDING ALL EXCLUDING COMMENTS,
    CHECK (person_id IS NOT NULL)
) PARTITION BY RANGE (recorded_at);

ALTER TABLE audit.gdpr_audit_trail
    DROP CONSTRAINT of_this_ledger,
    ADD CONSTRAINT of_this_ledger CHECK (ledger = 'gdpr');

COMMENT ON TABLE audit.gdpr_audit_trail IS
    'Entries of the same chain: who did what with whose personal data, reads included.';

-- No unique index: a number that is there twice is for the verifier to find and name.
CREATE INDEX audit_logs_seq ON audit.audit_logs (seq);
CREATE INDEX audit_logs_of_subject ON audit.audit_logs (subject_id, recorded_at, seq);
CREATE INDEX audit_logs_of_order ON audit.audit_logs (order_id, recorded_at, seq)
    WHERE order_id IS NOT NULL;
CREATE INDEX audit_logs_of_actor ON audit.audit_logs (actor_id, recorded_at, seq)
    WHERE actor_id IS NOT NULL;
CREATE INDEX audit_logs_of_action ON audit.audit_logs (action, recorded_at, seq);
CREATE INDEX gdpr_audit_trail_seq ON audit.gdpr_audit_trail (seq);
CREATE INDEX gdpr_audit_trail_of_person ON audit.gdpr_audit_trail (person_id, recorded_at, seq);

CREATE TABLE audit.details (
    seq bigint PRIMARY KEY,
    person_id uuid,
    salt bytea NOT NULL CHECK (octet_length(salt) = 32),
    payload text NOT NULL
);

COMMENT ON TABLE audit.details IS
    'What an entry says beyond ids (JSON). Rows with a person are erased with the person.';

CREATE INDEX details_of_person ON audit.details (person_id)
    WHERE person_id IS NOT NULL;

CREATE VIEW audit.entries AS
SELECT
    seq, recorded_at, occurred_at, ledger, origin, action, actor_kind, actor_id, subject_kind,
    subject_id, order_id, person_id, event_id, operation, fields, correlation_id, commitment,
    previous_hash, entry_hash
FROM audit.audit_logs
UNION ALL
SELECT
    seq, recorded_at, occurred_at, ledger, origin, action, actor_kind, actor_id, subject_kind,
    subject_id, order_id, person_id, event_id, operation, fields, correlation_id, commitment,
    previous_hash, entry_hash
FROM audit.gdpr_audit_trail;

COMMENT ON VIEW audit.entries IS 'The whole chain; seq is its order, without gaps.';

CREATE FUNCTION audit.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% of audit.% is refused: the audit trail only grows', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION audit.refuse_unless_erasing() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.person_id::text = current_setting('audit.erasing', true) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'details are erased with audit.erase_details and in no other way'
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION audit.refuse_step_back() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.seq > OLD.seq AND NEW.recorded_at >= OLD.recorded_at THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the head of the audit chain only moves on'
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE ON audit.audit_logs
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER is_never_emptied BEFORE TRUNCATE ON audit.audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE ON audit.gdpr_audit_trail
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER is_never_emptied BEFORE TRUNCATE ON audit.gdpr_audit_trail
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER is_never_changed BEFORE UPDATE ON audit.details
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER is_never_emptied BEFORE TRUNCATE ON audit.details
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER is_erased_by_the_book BEFORE DELETE ON audit.details
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_unless_erasing();
CREATE TRIGGER only_moves_on BEFORE UPDATE ON audit.chain_head
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_step_back();
CREATE TRIGGER stays BEFORE DELETE ON audit.chain_head
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER is_never_emptied BEFORE TRUNCATE ON audit.chain_head
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

-- Whatever the calendar and the timer do, an entry finds a place.
CREATE TABLE audit.audit_logs_default PARTITION OF audit.audit_logs DEFAULT;
CREATE TABLE audit.gdpr_audit_trail_default PARTITION OF audit.gdpr_audit_trail DEFAULT;
CREATE TRIGGER is_never_emptied BEFORE TRUNCATE ON audit.audit_logs_default
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER is_never_emptied BEFORE TRUNCATE ON audit.gdpr_audit_trail_default
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

CREATE FUNCTION audit.make_partitions(months_ahead integer) RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '2s'
    AS $$
DECLARE
    parent text;
    partition text;
    month timestamp;
    begins timestamptz;
    ends timestamptz;
    taken boolean;
    made integer := 0;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'between 0 and 24 months ahead';
    END IF;
    FOREACH parent IN ARRAY ARRAY['audit_logs', 'gdpr_audit_trail'] LOOP
        FOR month IN
            SELECT generate_series(first, first + make_interval(months => months_ahead), '1 month')
            FROM (SELECT date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')) AS this (first)
        LOOP
            partition := parent || to_char(month, '_YYYY_MM');
            begins := month AT TIME ZONE 'UTC';
            ends := (month + interval '1 month') AT TIME ZONE 'UTC';
            -- Entries that the default partition took in for want of another stay there.
            EXECUTE format(
                'SELECT EXISTS (SELECT FROM audit.%I WHERE recorded_at >= $1 AND recorded_at < $2)',
                parent || '_default'
            )
            INTO taken
            USING begins, ends;
            IF taken OR to_regclass(format('audit.%I', partition)) IS NOT NULL THEN
                CONTINUE;
            END IF;
            EXECUTE format(
                'CREATE TABLE audit.%I PARTITION OF audit.%I FOR VALUES FROM (%L) TO (%L)',
                partition, parent, begins, ends
            );
            EXECUTE format(
                'CREATE TRIGGER is_never_emptied BEFORE TRUNCATE ON audit.%I '
                'FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()',
                partition
            );
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

COMMENT ON FUNCTION audit.make_partitions IS
    'Makes the partitions of this month (UTC) and of months ahead that are missing; how many.';

CREATE FUNCTION audit.erase_details(person uuid, entry jsonb) RETURNS bigint
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    head audit.chain_head;
    written audit.gdpr_audit_trail := jsonb_populate_record(NULL::audit.gdpr_audit_trail, entry);
    erased bigint;
BEGIN
    SELECT single, seq, entry_hash, recorded_at
    INTO head
    FROM audit.chain_head
    FOR UPDATE;
    IF written.person_id IS DISTINCT FROM person
        OR written.action IS DISTINCT FROM 'audit.details_erased'
        OR written.origin IS DISTINCT FROM 'erasure'
        OR written.seq IS DISTINCT FROM head.seq + 1
        OR written.previous_hash IS DISTINCT FROM head.entry_hash
        OR written.commitment IS NOT NULL
    THEN
        RAISE EXCEPTION 'details are erased together with the next entry of the chain, which says so'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO audit.gdpr_audit_trail
    SELECT (written).*;
    UPDATE audit.chain_head
    SET seq = written.seq, entry_hash = written.entry_hash, recorded_at = written.recorded_at;
    PERFORM set_config('audit.erasing', person::text, true);
    DELETE FROM audit.details
    WHERE person_id = person;
    GET DIAGNOSTICS erased = ROW_COUNT;
    PERFORM set_config('audit.erasing', '', true);
    RETURN erased;
END
$$;

COMMENT ON FUNCTION audit.erase_details IS
    'Adds the entry that tells of it to the chain and erases the details about a person; how many.';

REVOKE ALL ON FUNCTION audit.make_partitions, audit.erase_details FROM PUBLIC;

SELECT audit.make_partitions(3);
