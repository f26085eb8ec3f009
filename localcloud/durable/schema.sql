-- The Durable back end's tables and its transactions. Applied at start when its digest has changed.
--
-- Every function is one transaction of the protocol and one round trip. Rows are always locked in
-- the order tasks, instances, inbox, history; leases are taken with SKIP LOCKED, so a row that
-- somebody else has locked never stalls the others.
--
-- A lease belongs to a host (owner) until lease_until. Each grant raises the row's token, and
-- whoever presents an older token, or a lease that has ended, is refused. A host holds the advisory lock (20036, host) as long
-- as it lives; reap() voids the leases of hosts whose lock is free.

CREATE SCHEMA IF NOT EXISTS durable;

CREATE TABLE IF NOT EXISTS durable.hub (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    name text NOT NULL,
    digest text NOT NULL DEFAULT ''
);

CREATE SEQUENCE IF NOT EXISTS durable.host_numbers AS integer CYCLE;

CREATE TABLE IF NOT EXISTS durable.hosts (
    host integer PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS durable.instances (
    instance_id text PRIMARY KEY,
    execution_id text NOT NULL,
    name text NOT NULL,
    version text NOT NULL DEFAULT '',
    status text NOT NULL CHECK (status IN (
        'Pending', 'Running', 'ContinuedAsNew', 'Suspended',
        'Completed', 'Failed', 'Terminated', 'Canceled'
    )),
    input text,
    output text,
    custom_status text,
    parent_instance_id text,
    parent_execution_id text,
    parent_event_id integer,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at timestamptz,
    quarantined_at timestamptz,
    turns integer NOT NULL DEFAULT 0,
    progress text NOT NULL DEFAULT '',
    ready_at timestamptz,
    owner integer,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    token bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX IF NOT EXISTS instances_ready ON durable.instances (ready_at)
    WHERE ready_at IS NOT NULL AND quarantined_at IS NULL;
CREATE INDEX IF NOT EXISTS instances_created ON durable.instances (created_at, instance_id);

-- One row per committed turn: its events as JSON objects, separated by commas, byte for byte.
CREATE TABLE IF NOT EXISTS durable.history (
    instance_id text NOT NULL,
    execution_id text NOT NULL,
    turn integer NOT NULL,
    events text NOT NULL,
    PRIMARY KEY (instance_id, execution_id, turn)
);

-- Messages to instances. A timer is a message that becomes visible when it is due.
-- An external event that nobody awaits yet is held: it makes no turn until somebody does.
CREATE TABLE IF NOT EXISTS durable.inbox (
    instance_id text NOT NULL,
    seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    execution_id text,
    visible_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    held boolean NOT NULL DEFAULT false,
    timer_id integer,
    event text NOT NULL,
    PRIMARY KEY (instance_id, seq)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);

-- Activities that are scheduled or running.
CREATE TABLE IF NOT EXISTS durable.tasks (
    instance_id text NOT NULL,
    execution_id text NOT NULL,
    event_id integer NOT NULL,
    seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    input text NOT NULL,
    visible_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    owner integer,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    token bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    PRIMARY KEY (instance_id, execution_id, event_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);

CREATE INDEX IF NOT EXISTS tasks_seq ON durable.tasks (seq);

DO $$
BEGIN
    CREATE TYPE durable.turn AS (
        instance_id text,
        execution_id text,
        name text,
        input text,
        parent_instance_id text,
        turns integer,
        token bigint,
        attempts integer,
        progress text,
        history text,
        seqs bigint[],
        executions text[],
        events text[]
    );
EXCEPTION WHEN duplicate_object THEN NULL;
END
$$;

-- Tells the other hosts, if there are any, that there is a turn or a task to take. Commits with a
-- notification queue up behind one another, so a host that is alone does without.
CREATE OR REPLACE FUNCTION durable.tell(p_sort text, p_host integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM durable.hosts WHERE host <> p_host) THEN
        PERFORM pg_notify('durable', p_sort || ' ' || p_host);
    END IF;
END
$$;

-- Leases one instance, if it is free, and gives back all that its turn needs.
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
    RETURNING instance_id, execution_id, name, input, parent_instance_id, turns, token, attempts,
        progress
    INTO v.instance_id, v.execution_id, v.name, v.input, v.parent_instance_id, v.turns, v.token,
        v.attempts, v.progress;
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
    ) AS m;

    IF v.turns > 0 THEN
        SELECT string_agg(h.events, ',' ORDER BY h.turn)
        INTO v.history
        FROM durable.history AS h
        WHERE h.instance_id = p_instance
          AND h.execution_id = v.execution_id;
    END IF;
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
            completed_at = NULL,
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

-- Sends a message to an instance that has not finished. Gives back the instance's status,
-- NULL when there is none. p_revive lets the message through to an instance that is quarantined or
-- rests after a crash.
CREATE OR REPLACE FUNCTION durable.post(
    p_instance text, p_event text, p_host integer, p_revive boolean
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    v_status text;
BEGIN
    SELECT status INTO v_status
    FROM durable.instances
    WHERE instance_id = p_instance
    FOR UPDATE;
    IF v_status IS NULL OR v_status IN ('Completed', 'Failed', 'Terminated', 'Canceled') THEN
        RETURN v_status;
    END IF;
    UPDATE durable.instances
    SET ready_at = LEAST(ready_at, clock_timestamp()),
        attempts = CASE WHEN p_revive THEN 0 ELSE attempts END,
        quarantined_at = CASE WHEN p_revive THEN NULL ELSE quarantined_at END,
        lease_until = CASE WHEN p_revive AND owner IS NULL THEN '-infinity' ELSE lease_until END
    WHERE instance_id = p_instance;
    INSERT INTO durable.inbox (instance_id, event)
    VALUES (p_instance, p_event);
    PERFORM durable.tell('turn', p_host);
    RETURN v_status;
END
$$;

-- The checkpoint: everything that one turn decided, or nothing when the lease is lost (no row).
-- The first p_reserved activities are leased to the caller, who has room to run them now.
-- `ready_at` is when the instance is due again, NULL for "when something happens".
CREATE OR REPLACE FUNCTION durable.commit_turn(
    p_instance text, p_token bigint, p_status text, p_output text, p_custom_status text,
    p_progress text, p_events text, p_consumed bigint[], p_held bigint[], p_held_due boolean,
    p_cancelled integer[], p_timer_ids integer[], p_timer_due timestamptz[], p_timer_events text[],
    p_task_ids integer[], p_task_names text[], p_task_inputs text[], p_reserved integer,
    p_host integer, p_lease_s double precision
) RETURNS TABLE (ready_at timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz;
    v_execution text;
    v_turns integer;
    v_finished boolean := p_status IN ('Completed', 'Failed', 'Terminated');
BEGIN
    SELECT i.execution_id, i.turns INTO v_execution, v_turns
    FROM durable.instances AS i
    WHERE i.instance_id = p_instance
      AND i.token = p_token
      AND i.owner IS NOT NULL
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_now := clock_timestamp();

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
              AND execution_id = v_execution
              AND timer_id = ANY (p_cancelled);
        END IF;
        IF cardinality(p_timer_ids) > 0 THEN
            INSERT INTO durable.inbox (instance_id, execution_id, visible_at, timer_id, event)
            SELECT p_instance, v_execution, t.due, t.id, t.event
            FROM unnest(p_timer_ids, p_timer_due, p_timer_events) AS t (id, due, event);
        END IF;
        IF cardinality(p_task_ids) > 0 THEN
            INSERT INTO durable.tasks (
                instance_id, execution_id, event_id, name, input,
                owner, lease_until, token, attempts
            )
            SELECT p_instance, v_execution, t.id, t.name, t.input,
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
        SELECT min(m.visible_at) INTO ready_at
        FROM durable.inbox AS m
        WHERE m.instance_id = p_instance
          AND NOT m.held;
        IF p_held_due THEN
            ready_at := LEAST(ready_at, v_now);
        END IF;
    END IF;

    UPDATE durable.instances AS i
    SET status = p_status,
        output = p_output,
        custom_status = COALESCE(p_custom_status, i.custom_status),
        progress = p_progress,
        turns = v_turns + 1,
        updated_at = v_now,
        completed_at = CASE WHEN v_finished THEN v_now END,
        ready_at = commit_turn.ready_at,
        owner = NULL,
        lease_until = '-infinity',
        attempts = 0
    WHERE i.instance_id = p_instance;

    INSERT INTO durable.history (instance_id, execution_id, turn, events)
    VALUES (p_instance, v_execution, v_turns, p_events);
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

-- The end of an activity: its row becomes a message, in one statement. No row when the lease is
-- lost. While siblings run, the turn waits a little, so that it takes many completions at once;
-- after the last one, p_take leases it to the caller. `ready_at` is when the turn is due, NULL
-- when it is leased, or when the instance no longer wants to know.
CREATE OR REPLACE FUNCTION durable.complete_task(
    p_instance text, p_execution text, p_event_id integer, p_token bigint, p_event text,
    p_host integer, p_lease_s double precision, p_take boolean
) RETURNS TABLE (ready_at timestamptz, turn durable.turn)
LANGUAGE plpgsql AS $$
DECLARE
    v_open integer;
BEGIN
    DELETE FROM durable.tasks
    WHERE instance_id = p_instance
      AND execution_id = p_execution
      AND event_id = p_event_id
      AND token = p_token;
    IF NOT FOUND THEN
        RETURN;
    END IF;
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
        i.ready_at, clock_timestamp() + make_interval(secs => 0.002 * v_open)
    )
    WHERE i.instance_id = p_instance
      AND i.execution_id = p_execution
      AND i.status NOT IN ('Completed', 'Failed', 'Terminated', 'Canceled')
    RETURNING i.ready_at INTO complete_task.ready_at;
    IF FOUND THEN
        INSERT INTO durable.inbox (instance_id, execution_id, event)
        VALUES (p_instance, p_execution, p_event);
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

-- Deletes an instance with all that belongs to it. false when there is none.
CREATE OR REPLACE FUNCTION durable.purge(p_instance text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_found boolean;
BEGIN
    DELETE FROM durable.tasks WHERE instance_id = p_instance;
    DELETE FROM durable.instances WHERE instance_id = p_instance;
    v_found := FOUND;
    DELETE FROM durable.inbox WHERE instance_id = p_instance;
    DELETE FROM durable.history WHERE instance_id = p_instance;
    RETURN v_found;
END
$$;
