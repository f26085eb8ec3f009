-- What is done to instances from outside their turns.

-- Takes back the failure of an instance: p_turns with p_events replace what history says of those
-- turns, the activities wait once more, and p_event is the message that makes the next turn. false
-- when the instance has not failed, or not after that many turns.
CREATE OR REPLACE FUNCTION durable.rewind(
    p_instance text, p_count integer, p_progress text, p_turns integer[], p_events text[],
    p_task_ids integer[], p_task_names text[], p_task_inputs text[], p_event text, p_host integer
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_execution text;
BEGIN
    UPDATE durable.instances
    SET status = 'Running',
        output = NULL,
        completed_at = NULL,
        updated_at = clock_timestamp(),
        progress = p_progress,
        ready_at = clock_timestamp(),
        token = token + 1,
        attempts = 0
    WHERE instance_id = p_instance
      AND status = 'Failed'
      AND turns = p_count
    RETURNING execution_id INTO v_execution;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE durable.history AS h
    SET events = t.events
    FROM unnest(p_turns, p_events) AS t (turn, events)
    WHERE h.instance_id = p_instance
      AND h.execution_id = v_execution
      AND h.turn = t.turn;
    INSERT INTO durable.tasks (instance_id, execution_id, event_id, name, input)
    SELECT p_instance, v_execution, t.id, t.name, t.input
    FROM unnest(p_task_ids, p_task_names, p_task_inputs) AS t (id, name, input);
    INSERT INTO durable.inbox (instance_id, execution_id, event)
    VALUES (p_instance, v_execution, p_event);
    PERFORM durable.tell('turn', p_host);
    PERFORM durable.tell('task', p_host);
    RETURN true;
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
    -- A turn that ended meanwhile may have left some; those that are locked are about to end.
    DELETE FROM durable.tasks
    WHERE seq IN (
        SELECT seq FROM durable.tasks WHERE instance_id = p_instance FOR UPDATE SKIP LOCKED
    );
    DELETE FROM durable.inbox WHERE instance_id = p_instance;
    DELETE FROM durable.history WHERE instance_id = p_instance;
    RETURN v_found;
END
$$;
