-- Leases: prolonged while their host lives, void when it does not.

-- Prolongs the leases that the host works on, and voids those of its own that it knows nothing of:
-- an answer that was lost on the way here. Those are told by their age.
CREATE OR REPLACE FUNCTION durable.renew(
    p_host integer,
    p_instances text[], p_tokens bigint[], p_lease_s double precision,
    p_task_instances text[], p_task_ids integer[], p_task_tokens bigint[],
    p_task_lease_s double precision, p_lost_after_s double precision
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    WITH mine AS (
        SELECT t.seq, w.token IS NOT NULL AS working
        FROM durable.tasks AS t
        LEFT JOIN unnest(p_task_instances, p_task_ids, p_task_tokens)
            AS w (instance_id, event_id, token) USING (instance_id, event_id, token)
        WHERE t.owner = p_host
          AND (w.token IS NOT NULL
            OR t.lease_until < v_now + make_interval(secs => p_task_lease_s - p_lost_after_s))
        ORDER BY t.seq
        FOR UPDATE OF t SKIP LOCKED
    )
    UPDATE durable.tasks AS t
    SET lease_until = CASE WHEN mine.working THEN v_now + make_interval(secs => p_task_lease_s)
        ELSE '-infinity' END
    FROM mine
    WHERE t.seq = mine.seq;

    WITH mine AS (
        SELECT i.instance_id, w.token IS NOT NULL AS working
        FROM durable.instances AS i
        LEFT JOIN unnest(p_instances, p_tokens) AS w (instance_id, token)
            USING (instance_id, token)
        WHERE i.owner = p_host
          AND i.ready_at IS NOT NULL
          AND i.quarantined_at IS NULL
          AND (w.token IS NOT NULL
            OR i.lease_until < v_now + make_interval(secs => p_lease_s - p_lost_after_s))
        ORDER BY i.instance_id
        FOR UPDATE OF i SKIP LOCKED
    )
    UPDATE durable.instances AS i
    SET lease_until = CASE WHEN mine.working THEN v_now + make_interval(secs => p_lease_s)
        ELSE '-infinity' END
    FROM mine
    WHERE i.instance_id = mine.instance_id;
END
$$;

-- Voids the leases of dead hosts, and forgets a host that has none left. Gives back how many
-- leases it voided.
CREATE OR REPLACE FUNCTION durable.reap(p_host integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    v_dead integer;
    v_count integer;
    v_voided integer := 0;
BEGIN
    FOR v_dead IN
        SELECT host
        FROM durable.hosts
        WHERE host <> p_host
          AND pg_try_advisory_xact_lock(20036, host)
    LOOP
        UPDATE durable.tasks
        SET owner = NULL, lease_until = '-infinity'
        WHERE seq IN (
            SELECT seq FROM durable.tasks WHERE owner = v_dead ORDER BY seq FOR UPDATE SKIP LOCKED
        );
        GET DIAGNOSTICS v_count = ROW_COUNT;
        v_voided := v_voided + v_count;
        UPDATE durable.instances
        SET owner = NULL, lease_until = '-infinity'
        WHERE instance_id IN (
            SELECT instance_id
            FROM durable.instances
            WHERE owner = v_dead
              AND ready_at IS NOT NULL
              AND quarantined_at IS NULL
            ORDER BY instance_id
            FOR UPDATE SKIP LOCKED
        );
        GET DIAGNOSTICS v_count = ROW_COUNT;
        v_voided := v_voided + v_count;
        DELETE FROM durable.hosts
        WHERE host = v_dead
          AND NOT EXISTS (SELECT FROM durable.tasks WHERE owner = v_dead)
          AND NOT EXISTS (
            SELECT FROM durable.instances
            WHERE owner = v_dead AND ready_at IS NOT NULL AND quarantined_at IS NULL
        );
    END LOOP;
    RETURN v_voided;
END
$$;
