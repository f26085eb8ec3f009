"""All SQL of customers and their preferences. An erased customer is nowhere to be found."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from blueprints.customers.models import Contact, Customer, Profile, UpdateCustomer
from shared.db import Pending, Transaction

REGISTERED = """
    WITH registered AS (
        INSERT INTO customers.customers (
            id, name, email, phone, default_address
        )
        VALUES (
            %(customer_id)s, %(name)s, %(email)s, %(phone)s, %(default_address)s
        )
        ON CONFLICT (id) DO NOTHING
        RETURNING id
    ),
    preferred AS (
        INSERT INTO customers.customer_preferences (customer_id, language)
        SELECT id, %(language)s
        FROM registered
    )
    SELECT id
    FROM registered
"""


async def register(tx: Transaction, customer_id: UUID, profile: Profile) -> bool:
    """Keep the profile unless the customer exists; whether it was kept."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        parameters = _columns(profile) | {"customer_id": customer_id}
        return await (await cursor.execute(REGISTERED, parameters)).fetchone() is not None


BY_ID = """
    SELECT
        c.id,
        c.name,
        c.email,
        c.phone,
        c.default_address,
        p.language,
        c.segment,
        c.status,
        c.version,
        c.registered_at,
        c.updated_at
    FROM customers.customers AS c
    JOIN customers.customer_preferences AS p ON p.customer_id = c.id
    WHERE c.id = %(customer_id)s
        AND c.status <> 'erased'
"""


async def customer(tx: Transaction, customer_id: UUID) -> Customer | None:
    """The customer with this id."""
    async with tx.cursor(row_factory=class_row(Customer)) as cursor:
        return await (await cursor.execute(BY_ID, {"customer_id": customer_id})).fetchone()


CONTACT = """
    SELECT c.name, c.email, c.phone, p.language
    FROM customers.customers AS c
    JOIN customers.customer_preferences AS p ON p.customer_id = c.id
    WHERE c.id = %(customer_id)s
        AND c.status <> 'erased'
"""


async def contact(tx: Transaction, customer_id: UUID) -> Contact | None:
    """How to reach the customer with this id."""
    async with tx.cursor(row_factory=class_row(Contact)) as cursor:
        return await (await cursor.execute(CONTACT, {"customer_id": customer_id})).fetchone()


CONTACTS = """
    SELECT c.id, c.name, c.email, c.phone, p.language
    FROM customers.customers AS c
    JOIN customers.customer_preferences AS p ON p.customer_id = c.id
    WHERE c.id = ANY(%(customer_ids)s)
        AND c.status <> 'erased'
"""


async def ask_contacts(
    tx: Transaction, customer_ids: Collection[UUID]
) -> Pending[Mapping[UUID, Contact]]:
    """How to reach each of these customers; who is unknown or erased is absent."""
    cursor = await tx.execute(CONTACTS, {"customer_ids": list(customer_ids)})

    async def told() -> Mapping[UUID, Contact]:
        return {row[0]: Contact(*row[1:]) for row in await cursor.fetchall()}

    return told


CHANGED = """
    WITH changed AS (
        UPDATE customers.customers
        SET name = %(name)s,
            email = %(email)s,
            phone = %(phone)s,
            default_address = %(default_address)s,
            status = COALESCE(%(status)s, status),
            segment = COALESCE(%(segment)s, segment),
            version = version + 1,
            updated_at = now()
        WHERE id = %(customer_id)s
            AND version = %(version)s
            AND status <> 'erased'
        RETURNING id
    ),
    preferred AS (
        UPDATE customers.customer_preferences AS p
        SET language = %(language)s
        FROM changed
        WHERE p.customer_id = changed.id
    )
    SELECT id
    FROM changed
"""


async def change(tx: Transaction, customer_id: UUID, version: int, update: UpdateCustomer) -> bool:
    """Replace the profile if it still has this version; whether it had."""
    async with tx.cursor(row_factory=scalar_row) as cursor:
        parameters = _columns(update) | {
            "customer_id": customer_id,
            "version": version,
            "status": update.status,
            "segment": update.segment,
        }
        return await (await cursor.execute(CHANGED, parameters)).fetchone() is not None


STATUS = """
    SELECT status
    FROM customers.customers
    WHERE id = %(customer_id)s
"""


async def ask_status(tx: Transaction, customer_id: UUID) -> Pending[str | None]:
    """active, inactive or erased; None if there never was such a customer."""
    cursor = await tx.execute(STATUS, {"customer_id": customer_id})

    async def status() -> str | None:
        row = await cursor.fetchone()
        return None if row is None else row[0]

    return status


def _columns(profile: Profile) -> dict[str, Any]:
    address = profile.default_address
    return {
        "name": profile.name,
        "email": profile.email,
        "phone": profile.phone,
        "default_address": None if address is None else Jsonb(address.model_dump()),
        "language": profile.language,
    }
