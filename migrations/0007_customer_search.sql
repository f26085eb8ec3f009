-- Employees list customers, newest first, and look for them by name, email and phone.

CREATE INDEX customers_by_registration ON customers.customers (registered_at, id) WHERE status <> 'erased';

CREATE INDEX customers_by_segment ON customers.customers (segment, registered_at, id) WHERE status <> 'erased';

CREATE INDEX customers_inactive ON customers.customers (registered_at, id) WHERE status = 'inactive';

CREATE INDEX customers_by_email ON customers.customers (lower(email) text_pattern_ops) WHERE status <> 'erased';

CREATE INDEX customers_by_phone ON customers.customers (phone text_pattern_ops) WHERE status <> 'erased';

CREATE INDEX customers_named_alike ON customers.customers USING gin (name gin_trgm_ops) WHERE status <> 'erased';
