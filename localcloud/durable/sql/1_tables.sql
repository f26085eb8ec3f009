-- The Durable back end's tables. Applied at start, with the functions beside it, when their digest
-- has changed.
--
-- Every function is one transaction of the protocol and one round trip. Rows are always locked in
-- the order tasks, instances, inbox, history; leases are taken with SKIP LOCKED, so a row that
-- somebody else has locked never stalls the others.
--
-- A lease belongs to a host (owner) until lease_until. Each grant raises the row's token, and
-- whoever presents an older token, or a lease that has ended, is refused. A host holds the advisory
-- lock (20036, host) as long as it lives; reap() voids the leases of hosts whose lock is free.

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

-- Tokens of an id that is deleted and comes back must not begin where the old ones did.
ALTER TABLE durable.instances
    ALTER COLUMN token SET DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

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

-- For people: what is tried again and again, and what has been set aside.
DROP VIEW IF EXISTS durable.failing;
CREATE VIEW durable.failing AS
SELECT 'turn' AS sort, instance_id, name, attempts, quarantined_at IS NOT NULL AS given_up,
    GREATEST(lease_until, quarantined_at) AS rests_until
FROM durable.instances
WHERE attempts > 1
   OR quarantined_at IS NOT NULL
UNION ALL
SELECT 'activity', instance_id, name, attempts, false, visible_at
FROM durable.tasks
WHERE attempts > 1;

-- Functions and their types are made anew, so that their signatures may change.
DO $$
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN SELECT oid FROM pg_proc WHERE pronamespace = 'durable'::regnamespace LOOP
        EXECUTE format('DROP FUNCTION %s', v_function);
    END LOOP;
    DROP TYPE IF EXISTS durable.turn;
END
$$;

CREATE TYPE durable.turn AS (
    instance_id text,
    execution_id text,
    name text,
    version text,
    input text,
    parent_instance_id text,
    parent_execution_id text,
    parent_event_id integer,
    turns integer,
    token bigint,
    attempts integer,
    progress text,
    seqs bigint[],
    executions text[],
    events text[]
);
