-- Instances and their turns: begun and leased.

-- Leases one instance, if it is free, and gives back all that its turn needs
-- but its history.
CREATE OR REPLACE FUNCTION durable.take(
    p_instance text, p_host integer, p_lease_s double precision
) RETURNS SETOF durable.turn
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v durable.turn;
BEGIN
    UPDATE durable.instances
    SET owner = p_host,
        lease_until = v_now + make_interval(secs => p_lease_s),
        token = token + 1,
        attempts = attempts + 1
    WHERE instance_id = p_instance
      AND ready_at IS NOT NULL
      AND lease_until <= v_now
      AND quarantined_at IS NULL
    RETURNING instance_id, execution_id, name, version, input, parent_instance_id,
        parent_execution_id, parent_event_id, turns, token, attempts, progress
    INTO v.instance_id, v.execution_id, v.name, v.version, v.input, v.parent_instance_id,
        v.parent_execution_id, v.parent_event_id, v.turns, v.token, v.attempts, v.progress;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT array_agg(m.seq), array_agg(m.execution_id), array_agg(m.event)
    INTO v.seqs, v.executions, v.events
    FROM (
        SELECT seq, execution_id, event
        FROM durable.inbox
        WHERE instance_id = p_instance
          AND visible_at <= v_now
        ORDER BY visible_at, seq
        LIMIT CASE WHEN starts_with(p_instance, '@') THEN 32 END
    ) AS m;
    RETURN NEXT v;
END
$$;

-- Leases up to p_limit due instances, longest overdue first.
CREATE OR REPLACE FUNCTION durable.take_due(
    p_host integer, p_lease_s double precision, p_limit integer
) RETURNS SETOF durable.turn
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_instance text;
BEGIN
    FOR v_instance IN
        SELECT instance_id
        FROM durable.instances
        WHERE ready_at <= v_now
          AND quarantined_at IS NULL
          AND lease_until <= v_now
        ORDER BY ready_at
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    LOOP
        RETURN QUERY SELECT * FROM durable.take(v_instance, p_host, p_lease_s);
    END LOOP;
END
$$;

-- Creates an instance, or starts a finished one anew. `existing` is the status that forbids it.
-- With p_take the first turn is leased to the caller at once.
CREATE OR REPLACE FUNCTION durable.start_instance(
    p_instance text, p_execution text, p_name text, p_version text, p_input text, p_event text,
    p_host integer, p_lease_s double precision, p_take boolean
) RETURNS TABLE (existing text, turn durable.turn)
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO durable.instances (
        instance_id, execution_id, name, version, status, input, ready_at
    )
    VALUES (
        p_instance, p_execution, p_name, p_version, 'Pending', p_input, clock_timestamp()
    )
    ON CONFLICT (instance_id) DO NOTHING;
    IF NOT FOUND THEN
        SELECT i.status INTO existing
        FROM durable.instances AS i
        WHERE i.instance_id = p_instance
        FOR UPDATE;
        IF existing NOT IN ('Completed', 'Failed', 'Terminated', 'Canceled') THEN
            RETURN NEXT;
            RETURN;
        END IF;
        existing := NULL;
        DELETE FROM durable.inbox WHERE instance_id = p_instance;
        DELETE FROM durable.history WHERE instance_id = p_instance;
        UPDATE durable.instances
        SET execution_id = p_execution,
            name = p_name,
            version = p_version,
            status = 'Pending',
            input = p_input,
            output = NULL,
            custom_status = NULL,
            created_at = clock_timestamp(),
            updated_at = clock_timestamp(),
            parent_instance_id = NULL,
            parent_execution_id = NULL,
            parent_event_id = NULL,
            completed_at = NULL,
            quarantined_at = NULL,
            turns = 0,
            progress = '',
            ready_at = clock_timestamp(),
            owner = NULL,
            lease_until = '-infinity',
            token = token + 1,
            attempts = 0
        WHERE instance_id = p_instance;
    END IF;
    INSERT INTO durable.inbox (instance_id, execution_id, event)
    VALUES (p_instance, p_execution, p_event);
    IF p_take THEN
        turn := (SELECT t FROM durable.take(p_instance, p_host, p_lease_s) AS t);
    ELSE
        PERFORM durable.tell('turn', p_host);
    END IF;
    RETURN NEXT;
END
$$;
