-- Orders: what was bought, at which price, where it goes, and how far it has come.
-- depends: 0001_messaging

CREATE SCHEMA orders;

CREATE SEQUENCE orders.order_numbers;

-- Readable and unique, not gapless: a rolled-back order leaves a hole.
CREATE FUNCTION orders.next_number() RETURNS text
LANGUAGE sql VOLATILE
RETURN (
    SELECT 'SO-' || to_char(now() AT TIME ZONE 'UTC', 'YYYY') || '-'
        || lpad(n::text, greatest(6, length(n::text)), '0')
    FROM nextval('orders.order_numbers') AS n
);

CREATE TABLE orders.orders (
    id uuid PRIMARY KEY,
    number text NOT NULL UNIQUE DEFAULT orders.next_number(),
    customer_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'placed' CHECK (status IN (
        'placed', 'confirmed', 'shipped', 'delivered', 'returned', 'cancelling', 'cancelled', 'stuck'
    )),
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    placed_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    placed_by uuid NOT NULL,
    on_behalf_reason text,

    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    net_total bigint NOT NULL CHECK (net_total >= 0),
    shipping_net bigint NOT NULL CHECK (shipping_net >= 0),
    shipping_tax_rate_bp integer NOT NULL CHECK (shipping_tax_rate_bp BETWEEN 0 AND 10000),
    shipping_tax bigint NOT NULL CHECK (
        shipping_tax = (shipping_net * shipping_tax_rate_bp + 5000) / 10000
    ),
    tax_total bigint NOT NULL CHECK (tax_total >= shipping_tax),
    gross_total bigint NOT NULL CHECK (gross_total = net_total + shipping_net + tax_total),
    weight_g bigint NOT NULL CHECK (weight_g >= 0),
    payment_method text NOT NULL CHECK (payment_method ~ '^tok_[a-z0-9_]{3,64}$'),

    shipping_service text NOT NULL CHECK (shipping_service IN ('standard', 'express')),
    ship_name text NOT NULL,
    ship_line1 text NOT NULL,
    ship_line2 text,
    ship_city text NOT NULL,
    ship_postal_code text NOT NULL,
    ship_country text NOT NULL CHECK (ship_country ~ '^[A-Z]{2}$'),

    -- The intent to cancel is written before anything is undone, so that a crash cannot forget it.
    cancelled_from text CHECK (cancelled_from IN ('placed', 'confirmed', 'stuck')),
    cancel_requested_at timestamptz,
    cancel_requested_by uuid,
    cancel_reason text,
    -- A code, not words: it comes in a URL, and URLs are logged.
    cancel_cause text CHECK (cancel_cause IN (
        'changed_mind', 'ordered_by_mistake', 'delivery_too_slow', 'other',
        'customer_request', 'fraud_suspected', 'goods_unavailable', 'partner_recovered'
    )),
    cancelled_at timestamptz,
    stuck_undos text[],

    search tsvector NOT NULL,

    CONSTRAINT placed_by_another_with_reason
        CHECK ((placed_by = customer_id) = (on_behalf_reason IS NULL)),
    CONSTRAINT cancelling_has_an_intent
        CHECK (status <> 'cancelling' OR cancelled_from IS NOT NULL),
    CONSTRAINT intent_is_whole
        CHECK (
            num_nulls(cancelled_from, cancel_requested_at, cancel_requested_by, cancel_cause)
                IN (0, 4)
        ),
    CONSTRAINT cancelled_has_time_and_reason
        CHECK (status <> 'cancelled' OR num_nulls(cancelled_at, cancel_reason) = 0),
    CONSTRAINT stuck_names_its_undos
        CHECK (status <> 'stuck' OR cardinality(stuck_undos) > 0)
) WITH (fillfactor = 85);

CREATE INDEX orders_by_customer ON orders.orders (customer_id, placed_at DESC, id DESC);
CREATE INDEX orders_by_time ON orders.orders (placed_at DESC, id DESC);
CREATE INDEX orders_by_status ON orders.orders (status, placed_at DESC, id DESC);
CREATE INDEX orders_by_words ON orders.orders USING gin (search);

CREATE TABLE orders.order_items (
    order_id uuid NOT NULL REFERENCES orders.orders,
    line_no smallint NOT NULL CHECK (line_no BETWEEN 1 AND 100),
    product_id uuid NOT NULL,
    sku text NOT NULL,
    name text NOT NULL,
    quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 999),
    unit_net bigint NOT NULL CHECK (unit_net >= 0),
    tax_class text NOT NULL,
    tax_rate_bp integer NOT NULL CHECK (tax_rate_bp BETWEEN 0 AND 10000),
    unit_weight_g integer NOT NULL CHECK (unit_weight_g >= 0),
    net bigint NOT NULL CHECK (net = unit_net * quantity),
    tax bigint NOT NULL CHECK (tax = (net * tax_rate_bp + 5000) / 10000),
    gross bigint NOT NULL CHECK (gross = net + tax),
    PRIMARY KEY (order_id, line_no),
    UNIQUE (order_id, product_id)
);

-- The totals of an order are the sums of its lines; checked when the transaction commits, because
-- an order and its lines are several rows.
CREATE FUNCTION orders.check_totals() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1
    FROM orders.orders AS o
    CROSS JOIN LATERAL (
        SELECT
            sum(i.net) AS net,
            sum(i.tax) AS tax,
            sum(i.unit_weight_g::bigint * i.quantity) AS weight_g
        FROM orders.order_items AS i
        WHERE i.order_id = o.id
    ) AS lines
    WHERE o.id = NEW.id
        AND (o.net_total, o.tax_total - o.shipping_tax, o.weight_g)
            IS DISTINCT FROM (lines.net, lines.tax, lines.weight_g);
    IF FOUND THEN
        RAISE EXCEPTION 'the lines of order % do not sum to its totals', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'lines_sum_to_totals';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER lines_sum_to_totals
AFTER INSERT OR UPDATE OF net_total, tax_total, shipping_tax, weight_g ON orders.orders
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION orders.check_totals();

-- Lines are a snapshot of the day of the order. They come with their order and never change.
CREATE FUNCTION orders.refuse_change_of_lines() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the lines of an order are a snapshot'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'lines_are_a_snapshot';
END
$$;

CREATE TRIGGER lines_are_a_snapshot
BEFORE UPDATE OR DELETE ON orders.order_items
FOR EACH STATEMENT EXECUTE FUNCTION orders.refuse_change_of_lines();

CREATE TABLE orders.order_status_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders.orders,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_status text,
    to_status text NOT NULL,
    actor_kind text NOT NULL CHECK (actor_kind IN ('client', 'employee', 'saga')),
    actor_id uuid,
    reason text,
    CHECK ((actor_kind = 'saga') = (actor_id IS NULL))
);

CREATE INDEX order_status_history_by_order ON orders.order_status_history (order_id, id);

-- One shipment per order. `booking` and `cancelling` are intents, written before the provider is
-- asked, so that a lost answer can be asked for again under the same idempotency key.
CREATE TABLE orders.shipments (
    order_id uuid PRIMARY KEY REFERENCES orders.orders,
    status text NOT NULL CHECK (status IN ('booking', 'booked', 'refused', 'cancelling', 'cancelled')),
    provider_id text,
    tracking_number text,
    refusal text,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    booked_at timestamptz,
    cancelled_at timestamptz,
    CONSTRAINT booked_is_known
        CHECK (status <> 'booked' OR num_nulls(provider_id, tracking_number, booked_at) = 0),
    CONSTRAINT refused_says_why CHECK ((status = 'refused') = (refusal IS NOT NULL))
);
