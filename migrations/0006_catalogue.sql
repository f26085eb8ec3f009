-- Products of our own beside the ERP's, what employees changed about the ERP's, filters, sorting, typos, and what each run
-- of the ERP synchronisation found to differ.

-- In the list of extensions that the managed service allows (azure.extensions), see infra/postgres.extensions.json.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- `listed` is whether the product's origin offers it; `withheld` whether an employee has taken it off sale all the same. A
-- product of the ERP is overwritten by every synchronisation, except in the fields that are `pinned`.
ALTER TABLE products.products
    ADD COLUMN origin text NOT NULL DEFAULT 'erp' CHECK (origin IN ('erp', 'own')),
    ADD COLUMN listed boolean NOT NULL DEFAULT true,
    ADD COLUMN withheld boolean NOT NULL DEFAULT false,
    ADD COLUMN pinned text[] NOT NULL DEFAULT '{}' CHECK (pinned <@ ARRAY['description', 'name']),
    ADD CONSTRAINT pinned_against_the_erp CHECK (origin = 'erp' OR pinned = '{}');

UPDATE products.products
SET listed = active;

ALTER TABLE products.products
    ADD CONSTRAINT on_sale_is_listed_and_not_withheld CHECK (NOT active OR (listed AND NOT withheld));

CREATE INDEX products_on_sale_by_price ON products.products (net_price, id) WHERE active;

CREATE INDEX products_on_sale_by_category_and_price ON products.products (category_code, net_price, id) WHERE active;

CREATE INDEX products_on_sale_by_age ON products.products (created_at, id) WHERE active;

CREATE INDEX products_alike ON products.products USING gin ((sku || ' ' || name) gin_trgm_ops) WHERE active;

-- Who counted, where it was not the ERP.
ALTER TABLE products.stock_movements
    ADD COLUMN employee_id uuid CHECK (employee_id IS NULL OR kind = 'counted');

-- What a run found to differ, a bounded number of each kind; kept for the latest runs only. `ours` and `erps` are prices or
-- pieces, `oversold` has what is reserved and what is on hand.
CREATE TABLE products.erp_sync_drifts (
    run_id uuid NOT NULL REFERENCES products.erp_sync_runs (id),
    kind text NOT NULL CHECK (
        kind IN ('diverged', 'gone', 'oversold', 'pinned', 'price', 'recounted', 'rejected', 'sku_taken')
    ),
    sku text NOT NULL,
    product_id uuid,
    fields text[],
    ours bigint,
    erps bigint,
    PRIMARY KEY (run_id, kind, sku)
);
