-- Payments: what the gateway holds for an order, and every conversation with the gateway.
-- depends: 0001_messaging

CREATE SCHEMA payments;

CREATE TABLE payments.payments (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL UNIQUE,
    customer_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN (
        'pending', 'unknown', 'requires_action', 'authorized', 'captured', 'partially_refunded',
        'refunded', 'voided', 'failed'
    )),
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),

    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount bigint NOT NULL CHECK (amount >= 0),
    authorized_amount bigint NOT NULL DEFAULT 0,
    captured_amount bigint NOT NULL DEFAULT 0,
    refunded_amount bigint NOT NULL DEFAULT 0,
    refunding_amount bigint NOT NULL DEFAULT 0,

    payment_method text NOT NULL CHECK (payment_method ~ '^tok_[a-z0-9_]{3,64}$'),
    gateway_id text UNIQUE,
    decline_code text,
    confirm_until timestamptz,

    CONSTRAINT money_goes_down_the_stairs CHECK (
        0 <= refunding_amount
        AND 0 <= refunded_amount
        AND refunded_amount + refunding_amount <= captured_amount
        AND captured_amount <= authorized_amount
        AND authorized_amount <= amount
    ),
    CONSTRAINT status_says_what_the_amounts_say CHECK (
        CASE status
            WHEN 'authorized' THEN authorized_amount > 0 AND captured_amount = 0
            WHEN 'captured' THEN captured_amount > 0 AND refunded_amount = 0
            WHEN 'partially_refunded' THEN refunded_amount BETWEEN 1 AND captured_amount - 1
            WHEN 'refunded' THEN captured_amount > 0 AND refunded_amount = captured_amount
            ELSE captured_amount = 0
        END
    ),
    CONSTRAINT failed_says_why CHECK (status <> 'failed' OR decline_code IS NOT NULL),
    CONSTRAINT action_has_a_deadline CHECK (status <> 'requires_action' OR confirm_until IS NOT NULL)
) WITH (fillfactor = 85);

CREATE INDEX payments_by_customer ON payments.payments (customer_id, created_at DESC, id DESC);
CREATE INDEX payments_by_time ON payments.payments (created_at DESC, id DESC);
-- Money in between: few rows at any time, and the ones that reconciliation looks at.
CREATE INDEX payments_unsettled ON payments.payments (updated_at)
WHERE status IN ('pending', 'unknown', 'requires_action', 'authorized');

CREATE TABLE payments.refunds (
    id uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments.payments,
    amount bigint NOT NULL CHECK (amount > 0),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'succeeded', 'failed')),
    reason text NOT NULL,
    requested_by uuid,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    gateway_id text UNIQUE,
    CONSTRAINT succeeded_is_known CHECK (status <> 'succeeded' OR gateway_id IS NOT NULL),
    CONSTRAINT settled_has_a_time CHECK ((status = 'pending') = (settled_at IS NULL))
);

CREATE INDEX refunds_by_payment ON payments.refunds (payment_id, requested_at, id);
CREATE INDEX refunds_pending ON payments.refunds (requested_at) WHERE status = 'pending';

-- One row per idempotency key at the gateway. `sent` is written before the call and the outcome after
-- it: a row that stays `sent` belongs to a process that died in between, `unknown` to an answer that
-- never came. Both are settled by asking again with the same key.
CREATE TABLE payments.payment_transactions (
    id uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES payments.payments,
    refund_id uuid REFERENCES payments.refunds,
    kind text NOT NULL CHECK (kind IN ('authorize', 'confirm', 'capture', 'void', 'refund')),
    idempotency_key text NOT NULL UNIQUE,
    amount bigint NOT NULL CHECK (amount >= 0),
    outcome text NOT NULL DEFAULT 'sent' CHECK (outcome IN (
        'sent', 'unknown', 'succeeded', 'requires_action', 'declined', 'refused'
    )),
    gateway_reference text,
    code text,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at timestamptz,
    CONSTRAINT refund_names_its_refund CHECK ((kind = 'refund') = (refund_id IS NOT NULL)),
    CONSTRAINT open_or_answered CHECK ((outcome IN ('sent', 'unknown')) = (answered_at IS NULL))
);

CREATE INDEX payment_transactions_by_payment ON payments.payment_transactions (payment_id, sent_at, id);
CREATE INDEX payment_transactions_open ON payments.payment_transactions (sent_at)
WHERE outcome IN ('sent', 'unknown');
