-- Messages: sent by clients, by the turns of others, and to other hosts.

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

-- Puts a message into an instance's inbox and makes the instance due; nothing when it has finished,
-- or has another execution by now. An entity comes into being if need be.
CREATE OR REPLACE FUNCTION durable.deliver(
    p_instance text, p_execution text, p_event text, p_entity text, p_host integer
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF p_entity IS NOT NULL THEN
        INSERT INTO durable.instances AS i (instance_id, execution_id, name, status, ready_at)
        VALUES (p_instance, '', p_entity, 'Running', clock_timestamp())
        ON CONFLICT (instance_id) DO UPDATE
            SET ready_at = LEAST(i.ready_at, clock_timestamp());
    ELSE
        UPDATE durable.instances
        SET ready_at = LEAST(ready_at, clock_timestamp())
        WHERE instance_id = p_instance
          AND execution_id = COALESCE(p_execution, execution_id)
          AND status NOT IN ('Completed', 'Failed', 'Terminated', 'Canceled');
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    INSERT INTO durable.inbox (instance_id, execution_id, event)
    VALUES (p_instance, p_execution, p_event);
    PERFORM durable.tell('turn', p_host);
    RETURN true;
END
$$;

-- Locks the rows that a checkpoint changes, in one order for everybody. In PL/pgSQL because a
-- function in SQL would be planned anew by each call, which costs more than the rest of a checkpoint.
CREATE OR REPLACE FUNCTION durable.lock_together(p_instance text, p_sent json) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF p_sent IS NULL THEN
        PERFORM
        FROM durable.instances
        WHERE instance_id = p_instance
        FOR UPDATE;
        RETURN;
    END IF;
    PERFORM
    FROM durable.instances
    WHERE instance_id IN (
        SELECT p_instance
        UNION ALL
        SELECT c ->> 'instance_id' FROM json_array_elements(p_sent -> 'children') AS c
        UNION ALL
        SELECT m ->> 'instance_id' FROM json_array_elements(p_sent -> 'messages') AS m
    )
    ORDER BY instance_id
    FOR UPDATE;
END
$$;

-- Does what a checkpoint does to other instances or executions, whose rows are locked, as far as
-- there are any: starts children, delivers messages, begins the next execution, releases what is
-- held. Gives back when that makes the sender itself due, NULL when it does not.
CREATE OR REPLACE FUNCTION durable.send(
    p_instance text, p_execution text, p_sent json, p_host integer
) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    v json;
    v_existing text;
    v_due boolean := false;
BEGIN
    FOR v IN
        SELECT c FROM json_array_elements(p_sent -> 'children') AS c ORDER BY c ->> 'instance_id'
    LOOP
        SELECT s.existing INTO v_existing
        FROM durable.start_instance(
            v ->> 'instance_id', v ->> 'execution_id', v ->> 'name', v ->> 'version',
            v ->> 'input', v ->> 'event', p_host, 0, false
        ) AS s;
        IF v_existing IS NULL THEN
            UPDATE durable.instances
            SET parent_instance_id = p_instance,
                parent_execution_id = p_execution,
                parent_event_id = (v ->> 'event_id')::integer
            WHERE instance_id = v ->> 'instance_id';
        ELSE
            INSERT INTO durable.inbox (instance_id, execution_id, event)
            VALUES (p_instance, p_execution, v ->> 'refusal');
            v_due := true;
        END IF;
    END LOOP;

    FOR v IN
        SELECT m
        FROM json_array_elements(p_sent -> 'messages') WITH ORDINALITY AS t (m, n)
        ORDER BY m ->> 'instance_id', n
    LOOP
        PERFORM durable.deliver(
            v ->> 'instance_id', v ->> 'execution_id', v ->> 'event', v ->> 'entity', p_host
        );
    END LOOP;

    IF (p_sent ->> 'release')::boolean THEN
        UPDATE durable.inbox SET held = false WHERE instance_id = p_instance AND held;
        v_due := v_due OR FOUND;
    END IF;

    v := p_sent -> 'renewal';
    IF json_typeof(v) = 'object' THEN
        DELETE FROM durable.history WHERE instance_id = p_instance;
        DELETE FROM durable.inbox
        WHERE instance_id = p_instance
          AND execution_id IS NOT NULL;
        INSERT INTO durable.inbox (instance_id, execution_id, event)
        VALUES (p_instance, v ->> 'execution_id', v ->> 'event');
        UPDATE durable.instances
        SET execution_id = v ->> 'execution_id',
            input = v ->> 'input',
            turns = 0,
            progress = ''
        WHERE instance_id = p_instance;
        v_due := true;
    END IF;

    IF v_due THEN
        UPDATE durable.instances
        SET ready_at = LEAST(ready_at, clock_timestamp())
        WHERE instance_id = p_instance;
        RETURN clock_timestamp();
    END IF;
    RETURN NULL;
END
$$;
