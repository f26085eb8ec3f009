-- Events that also go to Event Grid wait here until they have been published.

CREATE TABLE messaging.publications (
    position bigint PRIMARY KEY REFERENCES messaging.outbox (position) ON DELETE CASCADE,
    aggregate_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

COMMENT ON TABLE messaging.publications IS
    'Which events of the outbox Event Grid gets too; one that is away holds up Service Bus nowhere.';

CREATE INDEX publications_waiting_of_aggregate ON messaging.publications (aggregate_id, position)
    WHERE published_at IS NULL;

CREATE INDEX publications_waiting ON messaging.publications (position)
    WHERE published_at IS NULL;
