-- Activities: leased, run, answered.

-- Leases up to p_limit activities, oldest first.
CREATE OR REPLACE FUNCTION durable.take_tasks(
    p_host integer, p_lease_s double precision, p_limit integer
) RETURNS TABLE (
    instance_id text, execution_id text, event_id integer, name text, input text,
    token bigint, attempts integer
)
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH free AS (
        SELECT t.seq
        FROM durable.tasks AS t
        WHERE t.lease_until <= v_now
          AND t.visible_at <= v_now
        ORDER BY t.seq
        LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE durable.tasks AS t
    SET owner = p_host,
        lease_until = v_now + make_interval(secs => p_lease_s),
        token = t.token + 1,
        attempts = t.attempts + 1
    FROM free
    WHERE t.seq = free.seq
    RETURNING t.instance_id, t.execution_id, t.event_id, t.name, t.input, t.token, t.attempts;
END
$$;

-- Hands the answers p_events to an instance. While siblings of what was answered run, the turn waits
-- a little, at least p_pause_s, so that it takes many answers at once; after the last one, p_take
-- leases it to the caller. `ready_at` is when the turn is due, NULL when it is leased, or when the
-- instance no longer wants to know.
CREATE OR REPLACE FUNCTION durable.answer(
    p_instance text, p_execution text, p_events text[],
    p_host integer, p_lease_s double precision, p_take boolean, p_pause_s double precision
) RETURNS TABLE (ready_at timestamptz, turn durable.turn)
LANGUAGE plpgsql AS $$
DECLARE
    v_open integer;
BEGIN
    SELECT count(*) INTO v_open
    FROM (
        SELECT
        FROM durable.tasks
        WHERE instance_id = p_instance
          AND execution_id = p_execution
        LIMIT 100
    ) AS siblings;
    UPDATE durable.instances AS i
    SET ready_at = LEAST(
        i.ready_at,
        clock_timestamp() + make_interval(
            secs => CASE WHEN v_open = 0 THEN 0 ELSE GREATEST(0.002 * v_open, p_pause_s) END
        )
    )
    WHERE i.instance_id = p_instance
      AND i.execution_id = p_execution
      AND i.status NOT IN ('Completed', 'Failed', 'Terminated', 'Canceled')
    RETURNING i.ready_at INTO answer.ready_at;
    IF FOUND THEN
        INSERT INTO durable.inbox (instance_id, execution_id, event)
        SELECT p_instance, p_execution, e.event
        FROM unnest(p_events) WITH ORDINALITY AS e (event, n)
        ORDER BY e.n;
        IF p_take AND v_open = 0 THEN
            turn := (SELECT t FROM durable.take(p_instance, p_host, p_lease_s) AS t);
        END IF;
        IF turn IS NULL THEN
            PERFORM durable.tell('turn', p_host);
        ELSE
            ready_at := NULL;
        END IF;
    END IF;
    RETURN NEXT;
END
$$;

-- The end of activities of one instance: their rows become messages. `done` are those whose lease
-- still held, in ascending order, NULL when there are none.
CREATE OR REPLACE FUNCTION durable.complete_tasks(
    p_instance text, p_execution text, p_event_ids integer[], p_tokens bigint[], p_events text[],
    p_host integer, p_lease_s double precision, p_take boolean, p_pause_s double precision
) RETURNS TABLE (done integer[], ready_at timestamptz, turn durable.turn)
LANGUAGE plpgsql AS $$
DECLARE
    v_events text[];
    v_answer record;
BEGIN
    IF cardinality(p_event_ids) > 1 THEN
        PERFORM
        FROM durable.tasks
        WHERE instance_id = p_instance
          AND execution_id = p_execution
          AND event_id = ANY (p_event_ids)
        ORDER BY seq
        FOR UPDATE;
    END IF;
    WITH gone AS (
        DELETE FROM durable.tasks AS t
        USING unnest(p_event_ids, p_tokens, p_events) WITH ORDINALITY AS w (id, token, event, n)
        WHERE t.instance_id = p_instance
          AND t.execution_id = p_execution
          AND t.event_id = w.id
          AND t.token = w.token
        RETURNING w.id, w.event, w.n
    )
    SELECT array_agg(gone.id ORDER BY gone.id), array_agg(gone.event ORDER BY gone.n)
    INTO done, v_events
    FROM gone;
    IF done IS NOT NULL THEN
        SELECT a.* INTO v_answer
        FROM durable.answer(
            p_instance, p_execution, v_events, p_host, p_lease_s, p_take, p_pause_s
        ) AS a;
        ready_at := v_answer.ready_at;
        turn := v_answer.turn;
    END IF;
    RETURN NEXT;
END
$$;

-- The end of an activity and the turn that follows it, which the caller has run in advance from
-- what it knew of the instance: it stands if nothing has happened to the instance since. If
-- something has, the activity ends like any other. No row when the activity's lease is lost;
-- `written` says whether the turn stands. Raises the instance's token.
CREATE OR REPLACE FUNCTION durable.complete_task_and_turn(
    p_instance text, p_execution text, p_event_id integer, p_task_token bigint, p_event text,
    p_turn_lease_s double precision, p_take boolean, p_token bigint, p_turns integer,
    p_status text, p_output text, p_custom_status text,
    p_progress text, p_events text, p_consumed bigint[], p_held bigint[], p_held_due boolean,
    p_cancelled integer[], p_timer_ids integer[], p_timer_due timestamptz[], p_timer_events text[],
    p_task_ids integer[], p_task_names text[], p_task_inputs text[], p_sent json,
    p_reserved integer,
    p_host integer, p_lease_s double precision
) RETURNS TABLE (written boolean, ready_at timestamptz, turn durable.turn)
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_answer record;
BEGIN
    DELETE FROM durable.tasks
    WHERE instance_id = p_instance
      AND execution_id = p_execution
      AND event_id = p_event_id
      AND token = p_task_token;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM durable.lock_together(p_instance, p_sent);
    v_now := clock_timestamp();
    PERFORM
    FROM durable.instances AS i
    WHERE i.instance_id = p_instance
      AND i.execution_id = p_execution
      AND i.token = p_token
      AND i.turns = p_turns
      AND i.owner IS NULL
      AND i.lease_until <= v_now
      AND i.quarantined_at IS NULL
      AND (i.ready_at IS NULL OR i.ready_at > v_now);
    written := FOUND;
    IF written THEN
        ready_at := durable.write_turn(
            p_instance, p_execution, p_turns, 1, p_status, p_output, p_custom_status, p_progress, p_events, p_consumed,
            p_held, p_held_due, p_cancelled, p_timer_ids, p_timer_due, p_timer_events, p_task_ids,
            p_task_names, p_task_inputs, p_sent, p_reserved, p_host, p_lease_s
        );
    ELSE
        SELECT a.* INTO v_answer
        FROM durable.answer(
            p_instance, p_execution, ARRAY[p_event], p_host, p_turn_lease_s, p_take, 0
        ) AS a;
        ready_at := v_answer.ready_at;
        turn := v_answer.turn;
    END IF;
    RETURN NEXT;
END
$$;

-- Gives an activity back to be tried again after p_delay_s. false when the lease is lost.
CREATE OR REPLACE FUNCTION durable.give_back_task(
    p_instance text, p_execution text, p_event_id integer, p_token bigint,
    p_delay_s double precision, p_counts boolean
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE durable.tasks
    SET owner = NULL,
        lease_until = '-infinity',
        visible_at = clock_timestamp() + make_interval(secs => p_delay_s),
        attempts = CASE WHEN p_counts THEN attempts ELSE GREATEST(attempts - 1, 0) END
    WHERE instance_id = p_instance
      AND execution_id = p_execution
      AND event_id = p_event_id
      AND token = p_token
      AND owner IS NOT NULL;
    RETURN FOUND;
END
$$;

-- Lets an activity go on after p_delay_s with another input. false when the lease is lost.
CREATE OR REPLACE FUNCTION durable.postpone_task(
    p_instance text, p_execution text, p_event_id integer, p_token bigint,
    p_input text, p_delay_s double precision
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE durable.tasks
    SET input = p_input,
        owner = NULL,
        lease_until = '-infinity',
        visible_at = clock_timestamp() + make_interval(secs => p_delay_s),
        attempts = 0
    WHERE instance_id = p_instance
      AND execution_id = p_execution
      AND event_id = p_event_id
      AND token = p_token
      AND owner IS NOT NULL;
    RETURN FOUND;
END
$$;
