-- Customers and their preferences. A customer's id is the object id of the person in the clients' directory.

CREATE SCHEMA IF NOT EXISTS customers;

-- Personal data stands in name, email, phone and default_address only; an erased customer keeps none of it.
CREATE TABLE customers.customers (
    id uuid PRIMARY KEY,
    name text,
    email text,
    phone text,
    default_address jsonb CHECK (jsonb_typeof(default_address) = 'object'),
    segment text NOT NULL DEFAULT 'standard' CHECK (segment IN ('standard', 'business', 'vip')),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'erased')),
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    registered_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (
        CASE WHEN status = 'erased'
            THEN num_nonnulls(name, email, phone, default_address) = 0
            ELSE num_nulls(name, email) = 0
        END
    )
);

CREATE TABLE customers.customer_preferences (
    customer_id uuid PRIMARY KEY REFERENCES customers.customers (id),
    language text NOT NULL DEFAULT 'en' CHECK (language ~ '^[a-z]{2}$')
);
