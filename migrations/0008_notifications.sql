-- What people are told, on which channels they want it, and what became of each attempt to tell them.

CREATE SCHEMA notifications;

-- `facts` holds what the wording needs and no name or address; what an employee wrote freely stands in `message` alone.
CREATE TABLE notifications.notifications (
    id uuid PRIMARY KEY,
    position bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    recipient_id uuid,
    audience text CHECK (
        audience IN (
            'clients', 'employees', 'role:customer-service', 'role:order-manager', 'role:admin'
        )
    ),
    event_id text NOT NULL,
    type text NOT NULL CHECK (type ~ '^[a-z_]{1,64}$'),
    order_id uuid,
    facts jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(facts) = 'object'),
    message jsonb CHECK (jsonb_typeof(message) = 'object'),
    template_version integer NOT NULL CHECK (template_version > 0),
    listed boolean NOT NULL DEFAULT true,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_at timestamptz,
    CHECK (num_nonnulls(recipient_id, audience) = 1),
    CHECK (audience IS NULL OR read_at IS NULL)
);

COMMENT ON COLUMN notifications.notifications.position IS
    'The order in which one recipient (or one audience) was told: given under a lock per recipient.';

COMMENT ON COLUMN notifications.notifications.listed IS
    'False where the person does not want this type in the app; other channels may carry it.';

CREATE UNIQUE INDEX notifications_once ON notifications.notifications (
    event_id, type, COALESCE(recipient_id::text, audience)
);

CREATE INDEX notifications_of_recipient ON notifications.notifications (recipient_id, position)
    WHERE recipient_id IS NOT NULL AND listed;

CREATE INDEX notifications_unread ON notifications.notifications (recipient_id, position)
    WHERE recipient_id IS NOT NULL AND listed AND read_at IS NULL;

CREATE INDEX notifications_of_audience ON notifications.notifications (audience, position)
    WHERE audience IS NOT NULL;

CREATE INDEX notifications_of_order ON notifications.notifications (order_id, position)
    WHERE order_id IS NOT NULL;

CREATE TABLE notifications.reads (
    notification_id uuid NOT NULL REFERENCES notifications.notifications (id),
    reader_id uuid NOT NULL,
    read_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (notification_id, reader_id)
);

COMMENT ON TABLE notifications.reads IS 'Who has read what was told to an audience.';

CREATE TABLE notifications.notification_preferences (
    person_id uuid NOT NULL,
    type text NOT NULL CHECK (type ~ '^[a-z_]{1,64}$'),
    channel text NOT NULL CHECK (channel IN ('in_app', 'email', 'sms')),
    wanted boolean NOT NULL,
    PRIMARY KEY (person_id, type, channel)
);

COMMENT ON TABLE notifications.notification_preferences IS
    'What a person chose; what is not here follows the default of its type.';

CREATE TABLE notifications.people (
    person_id uuid PRIMARY KEY,
    time_zone text NOT NULL,
    quiet_from time,
    quiet_until time,
    digest text NOT NULL DEFAULT 'off' CHECK (digest IN ('off', 'daily', 'weekly')),
    digest_at time NOT NULL DEFAULT '08:00',
    digested_at timestamptz,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(quiet_from, quiet_until) IN (0, 2)),
    CHECK (quiet_from <> quiet_until)
);

COMMENT ON TABLE notifications.people IS
    'When a person wants to be left alone, and whether in one message a day or week; local hours.';

COMMENT ON COLUMN notifications.people.digested_at IS
    'When the latest digest was due: what turns up late for it waits for the next.';

-- One row per notification and channel; the log of what became of it is in `attempts`.
CREATE TABLE notifications.deliveries (
    id uuid PRIMARY KEY,
    notification_id uuid NOT NULL REFERENCES notifications.notifications (id),
    recipient_id uuid,
    channel text NOT NULL CHECK (channel IN ('in_app', 'email', 'sms')),
    status text NOT NULL DEFAULT 'pending' CHECK (
        status IN ('pending', 'accepted', 'delivered', 'failed', 'bounced', 'suppressed', 'skipped')
    ),
    digest boolean NOT NULL DEFAULT false,
    digest_id uuid,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    claimed_until timestamptz,
    first_tried_at timestamptz,
    provider_reference text,
    reason text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (notification_id, channel)
);

COMMENT ON COLUMN notifications.deliveries.status IS
    'pending: to be sent at due_at; accepted: the provider took it; delivered, bounced: its report; '
    'failed: given up; suppressed: a dead address; skipped: not wanted, outdated or nowhere to go.';

COMMENT ON COLUMN notifications.deliveries.first_tried_at IS
    'Since when the provider may have the message: a repeat says the same time, and is not sent twice.';

CREATE INDEX deliveries_due ON notifications.deliveries (channel, due_at)
    WHERE status = 'pending';

CREATE INDEX deliveries_of_digest ON notifications.deliveries (digest_id)
    WHERE digest_id IS NOT NULL;

CREATE INDEX deliveries_to_gather ON notifications.deliveries (recipient_id, due_at)
    WHERE status = 'pending' AND digest AND digest_id IS NULL;

CREATE INDEX deliveries_by_reference ON notifications.deliveries (provider_reference)
    WHERE provider_reference IS NOT NULL;

CREATE TABLE notifications.attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid NOT NULL REFERENCES notifications.deliveries (id),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome text NOT NULL CHECK (
        outcome IN ('accepted', 'delivered', 'bounced', 'refused', 'fault', 'suppressed', 'skipped')
    ),
    reason text,
    provider_reference text
);

CREATE INDEX attempts_of_delivery ON notifications.attempts (delivery_id, id);

-- An address is kept as a keyed digest only: enough to recognise it, not to read it.
CREATE TABLE notifications.suppressions (
    channel text NOT NULL CHECK (channel IN ('email', 'sms')),
    address_digest text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (channel, address_digest)
);

COMMENT ON TABLE notifications.suppressions IS 'Addresses that bounced: nothing more is sent to them.';
