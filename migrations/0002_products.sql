-- The catalogue, its stock with every movement, tax rates and the runs of the ERP synchronisation.

CREATE SCHEMA IF NOT EXISTS products;

CREATE TABLE products.product_categories (
    code text PRIMARY KEY CHECK (code <> ''),
    name text NOT NULL CHECK (name <> '')
);

-- `search` keeps words twice: stemmed ("bottles" finds "bottle") and as written, so that article numbers and
-- words that English drops ("The Who") are found too.
CREATE TABLE products.products (
    id uuid PRIMARY KEY,
    sku text NOT NULL UNIQUE CHECK (sku <> ''),
    name text NOT NULL CHECK (name <> ''),
    description text NOT NULL DEFAULT '',
    category_code text NOT NULL REFERENCES products.product_categories (code),
    net_price bigint NOT NULL CHECK (net_price >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    tax_class text NOT NULL CHECK (tax_class IN ('standard', 'reduced', 'zero')),
    weight_g integer NOT NULL CHECK (weight_g >= 0),
    active boolean NOT NULL,
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    search tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', sku), 'A')
        || setweight(to_tsvector('english', name), 'A')
        || setweight(to_tsvector('simple', name), 'B')
        || setweight(to_tsvector('english', description), 'C')
        || setweight(to_tsvector('simple', description), 'D')
    ) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX products_on_sale_by_name ON products.products (name, id) WHERE active;

CREATE INDEX products_on_sale_by_category ON products.products (category_code, name, id) WHERE active;

CREATE INDEX products_search ON products.products USING gin (search);

-- `reserved` may exceed `on_hand` after a recount in the ERP, never through a reservation: a reservation is taken only
-- while on_hand - reserved covers it. `erp_on_hand` is what the ERP counted last: hearing the same count again must not bring
-- back goods that have left since.
CREATE TABLE products.inventory (
    product_id uuid PRIMARY KEY REFERENCES products.products (id),
    on_hand bigint NOT NULL DEFAULT 0 CHECK (on_hand >= 0),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    erp_on_hand bigint CHECK (erp_on_hand >= 0),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70); -- counters change far more often than rows are added

-- The lines of one order change status together. A `released` row without a movement is a tombstone: stock that a late
-- repeat of the reservation must not take.
CREATE TABLE products.reservations (
    order_id uuid NOT NULL,
    product_id uuid NOT NULL REFERENCES products.inventory (product_id),
    quantity bigint NOT NULL CHECK (quantity > 0),
    status text NOT NULL CHECK (status IN ('held', 'committed', 'fulfilled', 'released', 'expired')),
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, product_id),
    CHECK ((status = 'held') = (expires_at IS NOT NULL))
);

CREATE INDEX reservations_held_by_expiry ON products.reservations (expires_at) WHERE status = 'held';

-- `failure` is the fault met last, while a run tries again and when it gave up.
CREATE TABLE products.erp_sync_runs (
    id uuid PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('running', 'succeeded', 'failed')),
    started_by text NOT NULL CHECK (started_by IN ('schedule', 'employee')),
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    pages integer NOT NULL DEFAULT 0 CHECK (pages >= 0),
    seen integer NOT NULL DEFAULT 0 CHECK (seen >= 0),
    created integer NOT NULL DEFAULT 0 CHECK (created >= 0),
    changed integer NOT NULL DEFAULT 0 CHECK (changed >= 0),
    stock_changed integer NOT NULL DEFAULT 0 CHECK (stock_changed >= 0),
    rejected integer NOT NULL DEFAULT 0 CHECK (rejected >= 0),
    deactivated integer NOT NULL DEFAULT 0 CHECK (deactivated >= 0),
    oversold integer NOT NULL DEFAULT 0 CHECK (oversold >= 0),
    failure text,
    CHECK ((status = 'running') = (finished_at IS NULL)),
    CHECK (status <> 'failed' OR failure IS NOT NULL),
    CHECK (status <> 'succeeded' OR failure IS NULL)
);

CREATE UNIQUE INDEX erp_sync_runs_one_running ON products.erp_sync_runs ((true)) WHERE status = 'running';

CREATE INDEX erp_sync_runs_by_start ON products.erp_sync_runs (started_at DESC, id DESC);

-- Pages that a run has taken in, with their counts: a page that is pulled twice counts once.
CREATE TABLE products.erp_sync_pages (
    run_id uuid NOT NULL REFERENCES products.erp_sync_runs (id),
    page integer NOT NULL CHECK (page > 0),
    seen integer NOT NULL,
    created integer NOT NULL,
    changed integer NOT NULL,
    stock_changed integer NOT NULL,
    rejected integer NOT NULL,
    PRIMARY KEY (run_id, page)
);

-- Article numbers that the running synchronisation has met; emptied when it ends.
CREATE TABLE products.erp_sync_seen (
    run_id uuid NOT NULL REFERENCES products.erp_sync_runs (id),
    sku text NOT NULL,
    PRIMARY KEY (run_id, sku)
);

-- Append-only: for every product, on_hand and reserved are the sums of these changes. Rows are made from inventory rows, so a
-- foreign key to them would only add a lock on the busiest rows of the schema.
CREATE TABLE products.stock_movements (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    product_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('counted', 'reserved', 'committed', 'released', 'expired', 'fulfilled')),
    order_id uuid,
    run_id uuid REFERENCES products.erp_sync_runs (id),
    quantity bigint NOT NULL CHECK (quantity >= 0),
    on_hand_change bigint NOT NULL,
    reserved_change bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'counted') = (order_id IS NULL))
);

CREATE INDEX stock_movements_by_order ON products.stock_movements (order_id, id) WHERE order_id IS NOT NULL;

CREATE INDEX stock_movements_by_product ON products.stock_movements (product_id, id);

CREATE TABLE products.tax_rates (
    tax_class text NOT NULL CHECK (tax_class IN ('standard', 'reduced', 'zero')),
    country text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    rate_bp integer NOT NULL CHECK (rate_bp BETWEEN 0 AND 10000),
    PRIMARY KEY (country, tax_class)
);

-- Basis points (1900 is 19 %). Compared with https://mindlink.lv/useful/vat-rates-in-eu (EU) and
-- https://www.mobilexpense.com/en/compliance-centre/vat-rates-uk (GB), which are copies: check against the official tables
-- (https://europa.eu/youreurope/business/taxation/vat/vat-rules-rates/ and https://www.gov.uk/vat-rates) before invoicing.
-- Of several reduced rates one stands here, chosen for this shop. Denmark has none, so its reduced class is taxed at the
-- standard rate.
INSERT INTO products.tax_rates (country, tax_class, rate_bp)
VALUES
    ('AT', 'standard', 2000), ('AT', 'reduced', 1000), ('AT', 'zero', 0),
    ('BE', 'standard', 2100), ('BE', 'reduced', 600), ('BE', 'zero', 0),
    ('DE', 'standard', 1900), ('DE', 'reduced', 700), ('DE', 'zero', 0),
    ('DK', 'standard', 2500), ('DK', 'reduced', 2500), ('DK', 'zero', 0),
    ('ES', 'standard', 2100), ('ES', 'reduced', 1000), ('ES', 'zero', 0),
    ('FR', 'standard', 2000), ('FR', 'reduced', 550), ('FR', 'zero', 0),
    ('GB', 'standard', 2000), ('GB', 'reduced', 500), ('GB', 'zero', 0),
    ('IE', 'standard', 2300), ('IE', 'reduced', 1350), ('IE', 'zero', 0),
    ('IT', 'standard', 2200), ('IT', 'reduced', 1000), ('IT', 'zero', 0),
    ('LU', 'standard', 1700), ('LU', 'reduced', 800), ('LU', 'zero', 0),
    ('NL', 'standard', 2100), ('NL', 'reduced', 900), ('NL', 'zero', 0),
    ('PT', 'standard', 2300), ('PT', 'reduced', 600), ('PT', 'zero', 0),
    ('SE', 'standard', 2500), ('SE', 'reduced', 1200), ('SE', 'zero', 0);
