"""The SQL of a placed order: a statement per table, and all of them as one statement."""

CUSTOMER = "SELECT status FROM customers.customers WHERE id = %(customer_id)s"

PRICES = """
    SELECT p.id, p.sku, p.name, p.net_price, p.tax_class, t.rate_bp, p.weight_g
    FROM products.products AS p
    JOIN products.tax_rates AS t ON t.tax_class = p.tax_class
    WHERE p.id = ANY (%(product_ids)s) AND p.active AND t.country = %(country)s
"""

KEY = """
    INSERT INTO messaging.idempotency_keys (caller_id, operation, key, fingerprint)
    VALUES (%(customer_id)s, 'place_order', %(key)s, %(fingerprint)s)
"""

ORDER = """
    INSERT INTO orders.orders (
        id, customer_id, placed_by, currency, net_total, shipping_net, shipping_tax_rate_bp,
        shipping_tax, tax_total, gross_total, weight_g, payment_method, shipping_service,
        ship_name, ship_line1, ship_line2, ship_city, ship_postal_code, ship_country, search
    )
    VALUES (
        %(id)s, %(customer_id)s, %(customer_id)s, 'EUR', %(net_total)s::bigint,
        %(shipping_net)s::bigint, %(shipping_rate)s::integer, %(shipping_tax)s::bigint,
        %(tax_total)s::bigint, %(gross_total)s::bigint, %(weight_g)s::bigint, %(payment_method)s,
        %(service)s, %(name)s, %(line1)s, %(line2)s, %(city)s, %(postal_code)s, %(country)s,
        to_tsvector('simple', %(words)s)
    )
    RETURNING number, placed_at
"""

LINES = """
    INSERT INTO orders.order_items (
        order_id, line_no, product_id, sku, name, quantity, unit_net, tax_class, tax_rate_bp,
        unit_weight_g, net, tax, gross
    )
    SELECT %(id)s, line_no, product_id, sku, name, quantity, unit_net, tax_class, tax_rate_bp,
        unit_weight_g, net, tax, gross
    FROM jsonb_to_recordset(%(lines)s::jsonb) AS line (
        line_no smallint, product_id uuid, sku text, name text, quantity integer, unit_net bigint,
        tax_class text, tax_rate_bp integer, unit_weight_g integer, net bigint, tax bigint,
        gross bigint
    )
"""

HISTORY = """
    INSERT INTO orders.order_status_history (order_id, to_status, actor_kind, actor_id)
    VALUES (%(id)s, 'placed', 'client', %(customer_id)s)
"""

EVENT = """
    INSERT INTO messaging.outbox (
        event_id, topic, type, aggregate_id, envelope, correlation_id, sent_at
    )
    VALUES (
        %(event_id)s, 'order-events', 'order.placed.v1', %(id)s, %(envelope)s, 'floor', now()
    )
"""

ANSWER = """
    UPDATE messaging.idempotency_keys SET answer = %(answer)s
    WHERE caller_id = %(customer_id)s AND operation = 'place_order' AND key = %(key)s
"""

AS_ONE = """
    WITH buyer AS (
        SELECT id
        FROM customers.customers
        WHERE id = %(customer_id)s AND status = 'active'
    ),
    wanted AS (
        SELECT product_id, quantity, line_no
        FROM unnest(%(product_ids)s::uuid[], %(quantities)s::bigint[])
            WITH ORDINALITY AS w (product_id, quantity, line_no)
    ),
    priced AS MATERIALIZED (
        SELECT
            w.line_no, p.id AS product_id, p.sku, p.name, w.quantity, p.net_price AS unit_net,
            p.tax_class, t.rate_bp, p.weight_g, p.net_price * w.quantity AS net,
            (p.net_price * w.quantity * t.rate_bp + 5000) / 10000 AS tax
        FROM wanted AS w
        JOIN products.products AS p ON p.id = w.product_id AND p.active
        JOIN products.tax_rates AS t ON t.tax_class = p.tax_class AND t.country = %(country)s
        CROSS JOIN buyer
    ),
    goods AS MATERIALIZED (
        SELECT
            sum(net)::bigint AS net, sum(tax)::bigint AS tax, max(rate_bp) AS rate,
            sum(weight_g * quantity)::bigint AS weight,
            string_agg(sku || ' ' || name, ' ') AS words
        FROM priced
        HAVING count(*) = cardinality(%(product_ids)s::uuid[])
    ),
    totals AS MATERIALIZED (
        SELECT g.*, (%(shipping_net)s::bigint * g.rate + 5000) / 10000 AS shipping_tax
        FROM goods AS g
    ),
    keyed AS (
        INSERT INTO messaging.idempotency_keys (caller_id, operation, key, fingerprint, answer)
        SELECT %(customer_id)s, 'place_order', %(key)s, %(fingerprint)s, %(answer)s
        FROM totals
    ),
    placed AS (
        INSERT INTO orders.orders (
            id, customer_id, placed_by, currency, net_total, shipping_net, shipping_tax_rate_bp,
            shipping_tax, tax_total, gross_total, weight_g, payment_method, shipping_service,
            ship_name, ship_line1, ship_line2, ship_city, ship_postal_code, ship_country, search
        )
        SELECT
            %(id)s, %(customer_id)s, %(customer_id)s, 'EUR', net, %(shipping_net)s::bigint, rate,
            shipping_tax, tax + shipping_tax,
            net + %(shipping_net)s::bigint + tax + shipping_tax, weight, %(payment_method)s,
            %(service)s, %(name)s, %(line1)s, %(line2)s, %(city)s, %(postal_code)s, %(country)s,
            to_tsvector('simple', words)
        FROM totals
        RETURNING number, placed_at, net_total, shipping_tax, tax_total, gross_total
    ),
    items AS (
        INSERT INTO orders.order_items (
            order_id, line_no, product_id, sku, name, quantity, unit_net, tax_class, tax_rate_bp,
            unit_weight_g, net, tax, gross
        )
        SELECT %(id)s, line_no, product_id, sku, name, quantity, unit_net, tax_class, rate_bp,
            weight_g, net, tax, net + tax
        FROM priced
        WHERE EXISTS (SELECT FROM totals)
    ),
    noted AS (
        INSERT INTO orders.order_status_history (order_id, to_status, actor_kind, actor_id)
        SELECT %(id)s, 'placed', 'client', %(customer_id)s
        FROM totals
    ),
    told AS (
        INSERT INTO messaging.outbox (
            event_id, topic, type, aggregate_id, envelope, correlation_id, sent_at
        )
        SELECT %(event_id)s, 'order-events', 'order.placed.v1', %(id)s, %(envelope)s, 'floor',
            now()
        FROM totals
    )
    SELECT
        p.number, p.placed_at, p.net_total, p.shipping_tax, p.tax_total, p.gross_total,
        (
            SELECT jsonb_agg(
                jsonb_build_object(
                    'product_id', l.product_id, 'sku', l.sku, 'name', l.name,
                    'quantity', l.quantity, 'unit_net', l.unit_net, 'tax_rate_bp', l.rate_bp,
                    'net', l.net, 'tax', l.tax, 'gross', l.net + l.tax
                ) ORDER BY l.line_no
            )
            FROM priced AS l
        ) AS lines
    FROM placed AS p
"""
