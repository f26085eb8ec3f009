-- Messages between services: what is to be sent, what was received, what was refused,
-- and the answers already given to idempotent requests.

CREATE SCHEMA messaging;

CREATE TABLE messaging.outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    topic text NOT NULL,
    type text NOT NULL,
    aggregate_id uuid NOT NULL,
    envelope text NOT NULL,
    correlation_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

COMMENT ON TABLE messaging.outbox IS
    'Events to publish; within an aggregate, position is the order of commit and of sending.';

CREATE INDEX outbox_unsent_of_aggregate ON messaging.outbox (aggregate_id, position)
    WHERE sent_at IS NULL;

CREATE INDEX outbox_unsent ON messaging.outbox (position)
    WHERE sent_at IS NULL;

CREATE TABLE messaging.inbox (
    consumer text NOT NULL,
    event_id text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, event_id)
);

COMMENT ON TABLE messaging.inbox IS 'Events whose effect a consumer has completed.';

CREATE INDEX inbox_received ON messaging.inbox (received_at);

CREATE TABLE messaging.rejections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    message_id text NOT NULL,
    event_id text,
    body_digest text NOT NULL,
    reason text NOT NULL,
    delivery_count integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    UNIQUE (consumer, message_id, body_digest)
);

COMMENT ON TABLE messaging.rejections IS
    'Why a consumer refused or failed a message, one row per message; resolved if it succeeded later.';

CREATE TABLE messaging.idempotency_keys (
    caller_id uuid NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    answer text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller_id, operation, key)
);

COMMENT ON TABLE messaging.idempotency_keys IS
    'The first answer to each idempotent request, to be given again.';

CREATE INDEX idempotency_keys_created ON messaging.idempotency_keys (created_at);
