-- The ends of a turn: a checkpoint, or none.

-- Writes down what one turn decided; the caller has the instance's row locked. The first p_reserved
-- activities are leased to the caller, who has room to run them now; p_raise is added to the token.
-- Gives back when the instance is due again, NULL for "when something happens".
CREATE OR REPLACE FUNCTION durable.write_turn(
    p_instance text, p_execution text, p_turns integer, p_raise integer,
    p_status text, p_output text, p_custom_status text,
    p_progress text, p_events text, p_consumed bigint[], p_held bigint[], p_held_due boolean,
    p_cancelled integer[], p_timer_ids integer[], p_timer_due timestamptz[], p_timer_events text[],
    p_task_ids integer[], p_task_names text[], p_task_inputs text[], p_sent json,
    p_reserved integer,
    p_host integer, p_lease_s double precision
) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_ready_at timestamptz;
    v_finished boolean := p_status IN ('Completed', 'Failed', 'Terminated');
BEGIN
    IF v_finished THEN
        DELETE FROM durable.inbox WHERE instance_id = p_instance;
    ELSE
        DELETE FROM durable.inbox WHERE instance_id = p_instance AND seq = ANY (p_consumed);
        IF cardinality(p_held) > 0 THEN
            UPDATE durable.inbox
            SET held = true
            WHERE instance_id = p_instance
              AND seq = ANY (p_held)
              AND NOT held;
        END IF;
        IF cardinality(p_cancelled) > 0 THEN
            DELETE FROM durable.inbox
            WHERE instance_id = p_instance
              AND execution_id = p_execution
              AND timer_id = ANY (p_cancelled);
        END IF;
        IF cardinality(p_timer_ids) > 0 THEN
            INSERT INTO durable.inbox (instance_id, execution_id, visible_at, timer_id, event)
            SELECT p_instance, p_execution, t.due, t.id, t.event
            FROM unnest(p_timer_ids, p_timer_due, p_timer_events) AS t (id, due, event);
        END IF;
        IF cardinality(p_task_ids) > 0 THEN
            INSERT INTO durable.tasks (
                instance_id, execution_id, event_id, name, input,
                owner, lease_until, token, attempts
            )
            SELECT p_instance, p_execution, t.id, t.name, t.input,
                CASE WHEN t.n <= p_reserved THEN p_host END,
                CASE WHEN t.n <= p_reserved THEN v_now + make_interval(secs => p_lease_s)
                    ELSE '-infinity' END,
                CASE WHEN t.n <= p_reserved THEN 1 ELSE 0 END,
                CASE WHEN t.n <= p_reserved THEN 1 ELSE 0 END
            FROM unnest(p_task_ids, p_task_names, p_task_inputs)
                WITH ORDINALITY AS t (id, name, input, n);
            IF cardinality(p_task_ids) > p_reserved THEN
                PERFORM durable.tell('task', p_host);
            END IF;
        END IF;
        SELECT min(m.visible_at) INTO v_ready_at
        FROM durable.inbox AS m
        WHERE m.instance_id = p_instance
          AND NOT m.held;
        IF p_held_due THEN
            v_ready_at := LEAST(v_ready_at, v_now);
        END IF;
    END IF;

    UPDATE durable.instances AS i
    SET status = p_status,
        output = p_output,
        custom_status = COALESCE(p_custom_status, i.custom_status),
        progress = p_progress,
        turns = p_turns + 1,
        updated_at = v_now,
        completed_at = CASE WHEN v_finished THEN v_now END,
        ready_at = v_ready_at,
        token = i.token + p_raise,
        owner = NULL,
        lease_until = '-infinity',
        attempts = 0
    WHERE i.instance_id = p_instance;

    INSERT INTO durable.history (instance_id, execution_id, turn, events)
    VALUES (p_instance, p_execution, p_turns, p_events);
    IF p_sent IS NOT NULL THEN
        v_ready_at := LEAST(v_ready_at, durable.send(p_instance, p_execution, p_sent, p_host));
    END IF;
    RETURN v_ready_at;
END
$$;

-- The checkpoint: everything that one turn decided, or nothing when the lease is lost (no row).
CREATE OR REPLACE FUNCTION durable.commit_turn(
    p_instance text, p_token bigint, p_status text, p_output text, p_custom_status text,
    p_progress text, p_events text, p_consumed bigint[], p_held bigint[], p_held_due boolean,
    p_cancelled integer[], p_timer_ids integer[], p_timer_due timestamptz[], p_timer_events text[],
    p_task_ids integer[], p_task_names text[], p_task_inputs text[], p_sent json,
    p_reserved integer,
    p_host integer, p_lease_s double precision
) RETURNS TABLE (ready_at timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    v_execution text;
    v_turns integer;
BEGIN
    IF p_sent IS NOT NULL THEN
        PERFORM durable.lock_together(p_instance, p_sent);
    END IF;
    SELECT i.execution_id, i.turns INTO v_execution, v_turns
    FROM durable.instances AS i
    WHERE i.instance_id = p_instance
      AND i.token = p_token
      AND i.owner IS NOT NULL
    FOR UPDATE;
    IF FOUND THEN
        ready_at := durable.write_turn(
            p_instance, v_execution, v_turns, 0, p_status, p_output, p_custom_status, p_progress, p_events, p_consumed,
            p_held, p_held_due, p_cancelled, p_timer_ids, p_timer_due, p_timer_events, p_task_ids,
            p_task_names, p_task_inputs, p_sent, p_reserved, p_host, p_lease_s
        );
        RETURN NEXT;
    END IF;
END
$$;

-- The checkpoint of an entity: its state, empty when it does not exist, and its answers; or nothing
-- when the lease is lost (no row). One that neither exists nor has anything to do is forgotten.
CREATE OR REPLACE FUNCTION durable.commit_entity(
    p_instance text, p_token bigint, p_state text, p_consumed bigint[], p_sent json, p_host integer
) RETURNS TABLE (ready_at timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM durable.lock_together(p_instance, p_sent);
    PERFORM
    FROM durable.instances
    WHERE instance_id = p_instance
      AND token = p_token
      AND owner IS NOT NULL;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    DELETE FROM durable.inbox WHERE instance_id = p_instance AND seq = ANY (p_consumed);
    SELECT min(m.visible_at) INTO commit_entity.ready_at
    FROM durable.inbox AS m
    WHERE m.instance_id = p_instance;
    IF p_state = '' AND commit_entity.ready_at IS NULL THEN
        DELETE FROM durable.instances WHERE instance_id = p_instance;
    ELSE
        UPDATE durable.instances AS i
        SET progress = p_state,
            turns = i.turns + 1,
            updated_at = clock_timestamp(),
            ready_at = commit_entity.ready_at,
            owner = NULL,
            lease_until = '-infinity',
            attempts = 0
        WHERE i.instance_id = p_instance;
    END IF;
    IF p_sent IS NOT NULL THEN
        PERFORM durable.send(p_instance, '', p_sent, p_host);
    END IF;
    RETURN NEXT;
END
$$;

-- Ends a lease without a checkpoint. p_consumed are messages that no longer mean anything,
-- p_held events that nobody awaits. p_delay_s postpones the next try; p_counts says whether this
-- one counts as an attempt. false when the lease is lost.
CREATE OR REPLACE FUNCTION durable.give_back_turn(
    p_instance text, p_token bigint, p_consumed bigint[], p_held bigint[],
    p_delay_s double precision, p_counts boolean
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
BEGIN
    PERFORM 1
    FROM durable.instances
    WHERE instance_id = p_instance
      AND token = p_token
      AND owner IS NOT NULL
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    v_now := clock_timestamp();
    DELETE FROM durable.inbox WHERE instance_id = p_instance AND seq = ANY (p_consumed);
    UPDATE durable.inbox
    SET held = true
    WHERE instance_id = p_instance
      AND seq = ANY (p_held);
    UPDATE durable.instances
    SET owner = NULL,
        lease_until = CASE WHEN p_delay_s > 0 THEN v_now + make_interval(secs => p_delay_s)
            ELSE '-infinity' END,
        attempts = CASE WHEN p_counts THEN attempts ELSE GREATEST(attempts - 1, 0) END,
        ready_at = (
            SELECT GREATEST(
                min(visible_at),
                CASE WHEN p_delay_s > 0 THEN v_now + make_interval(secs => p_delay_s) END
            )
            FROM durable.inbox
            WHERE instance_id = p_instance
              AND NOT held
            HAVING count(*) > 0
        )
    WHERE instance_id = p_instance;
    RETURN true;
END
$$;

-- Sets an instance aside: no turn of it is tried until it is terminated or purged.
CREATE OR REPLACE FUNCTION durable.quarantine(p_instance text, p_token bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE durable.instances
    SET quarantined_at = clock_timestamp(),
        updated_at = clock_timestamp(),
        owner = NULL,
        lease_until = '-infinity'
    WHERE instance_id = p_instance
      AND token = p_token;
    RETURN FOUND;
END
$$;
