"""Taking an order: what it costs, who may, and that a refusal leaves no trace."""

import asyncio
import re
from uuid import uuid4

import psycopg.errors
import pytest

from blueprints.orders.models import (
    CardNumberRefused,
    CountryNotServed,
    CurrencyNotSold,
    CustomerInactive,
    CustomerUnregistered,
    UnknownProduct,
    WantedLine,
)
from shared.auth import Caller
from shared.problem import IdempotencyKeyReused, InvalidRequest, Problem
from tests.integration.orders.conftest import BERLIN, CARLA, DOLLARS, POT, TEA, Shop, client


async def test_an_order_is_priced_line_by_line_and_written_down(shop: Shop) -> None:
    alice = client()

    order = await shop.place(alice)

    assert [(line.sku, line.net, line.tax, line.gross) for line in order.lines] == [
        ("TEA-ASSAM-250", 2_598, 182, 2_780),
        ("POT-IRON-08", 4_995, 949, 5_944),
    ]
    assert (order.shipping.net, order.shipping.tax_rate_bp, order.shipping.tax) == (490, 1_900, 93)
    assert (order.net_total, order.tax_total, order.gross_total) == (7_593, 1_224, 9_307)
    assert (order.customer_id, order.status, order.version) == (alice.id, "placed", 1)
    assert re.fullmatch(r"SO-2\d{3}-\d{6}", order.number)
    assert await shop.orders.get(alice, order.id) == order
    assert await shop.events(order) == ["order.placed.v1"]
    assert await shop.moves(order) == [(None, "placed", "client", None)]
    assert shop.dispatched.aggregates[-1] == order.id


async def test_lines_of_one_product_are_added_up(shop: Shop) -> None:
    tea = WantedLine(product_id=TEA.product_id, quantity=500)
    few = WantedLine(product_id=TEA.product_id, quantity=499)

    order = await shop.place(lines=[tea, few])

    assert [(line.sku, line.quantity) for line in order.lines] == [("TEA-ASSAM-250", 999)]


async def test_an_employee_orders_for_a_customer_with_a_reason(shop: Shop) -> None:
    alice = client()

    order = await shop.place(CARLA, customer_id=alice.id, reason="phoned in")

    assert (order.customer_id, order.placed_on_behalf) == (alice.id, True)
    assert await shop.moves(order) == [(None, "placed", "employee", "phoned in")]
    assert await shop.orders.get(alice, order.id) == order
    assert shop.on_behalf.entries == [(CARLA.id, alice.id, order.id, "phoned in")]


async def test_what_cannot_be_put_on_record_is_not_ordered_for_a_customer(shop: Shop) -> None:
    before = await shop.rows()
    shop.on_behalf.broken = True

    with pytest.raises(OSError, match="the trail is away"):
        await shop.place(CARLA, customer_id=client().id, reason="phoned in")

    shop.on_behalf.broken = False
    assert await shop.rows() == before


async def test_numbers_are_unique_and_go_up(shop: Shop) -> None:
    orders = await asyncio.gather(*(shop.place() for _ in range(5)))

    assert len({order.number for order in orders}) == 5


async def test_repeating_a_key_returns_the_first_answer_whatever_has_happened_since(
    shop: Shop,
) -> None:
    alice = client()
    first = await shop.place(alice, key="same")
    await shop.cancelling.request(alice, first.id, "changed_mind")
    shop.customers.standings[alice.id] = "inactive"
    before = await shop.rows()

    assert await shop.place(alice, key="same") == first

    assert await shop.rows() == before
    with pytest.raises(IdempotencyKeyReused):
        await shop.place(alice, key="same", shipping_service="express")
    del shop.customers.standings[alice.id]
    with pytest.raises(IdempotencyKeyReused):
        await shop.place(alice, key="same", shipping_service="express")
    assert await shop.place(alice, key="same") == first
    assert await shop.rows() == before


async def test_one_key_raced_makes_one_order(shop: Shop) -> None:
    alice = client()
    before = await shop.rows()

    orders = await asyncio.gather(*(shop.place(alice, key="raced") for _ in range(6)))

    assert len({order.id for order in orders}) == 1
    assert (await shop.rows())["orders"] == before["orders"] + 1


def many(quantity: int) -> WantedLine:
    return WantedLine(product_id=TEA.product_id, quantity=quantity)


UNKNOWN = WantedLine(product_id=uuid4(), quantity=1)
INACTIVE, STRANGER = client(), client()
REFUSED: dict[str, tuple[Caller | None, dict[str, object], type[Problem]]] = {
    "an unknown product": (None, {"lines": [UNKNOWN, many(1)]}, UnknownProduct),
    "another currency": (
        None,
        {"lines": [WantedLine(product_id=DOLLARS.product_id, quantity=1)]},
        CurrencyNotSold,
    ),
    "too many in all": (None, {"lines": [many(500), many(500)]}, InvalidRequest),
    "an inactive customer": (INACTIVE, {}, CustomerInactive),
    "a stranger": (STRANGER, {}, CustomerUnregistered),
    "a country that is not served": (
        None,
        {"shipping_address": BERLIN.model_copy(update={"country": "US"})},
        CountryNotServed,
    ),
    "a card number": (None, {"payment_method": "4111 1111-1111 1111"}, CardNumberRefused),
    "a card number as a token": (
        None,
        {"payment_method": "tok_4111111111111111"},
        CardNumberRefused,
    ),
    "no token": (None, {"payment_method": "cash"}, InvalidRequest),
    "a client for somebody else": (
        None,
        {"customer_id": uuid4(), "reason": "a present"},
        InvalidRequest,
    ),
    "an employee without a reason": (CARLA, {"customer_id": uuid4()}, InvalidRequest),
    "an employee without a customer": (CARLA, {"reason": "phoned in"}, InvalidRequest),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refused_order_changes_nothing_and_leaves_its_key_free(
    what: str, shop: Shop
) -> None:
    caller, changes, problem = REFUSED[what]
    who = caller or client()
    shop.customers.standings |= {INACTIVE.id: "inactive", STRANGER.id: "unknown"}
    before, dispatched = await shop.rows(), len(shop.dispatched.aggregates)

    with pytest.raises(problem):
        await shop.place(who, key=f"key-{what}", **changes)

    assert await shop.rows() == before
    assert len(shop.dispatched.aggregates) == dispatched
    if caller is None:
        corrected = await shop.place(who, key=f"key-{what}")
        assert corrected.status == "placed"


async def test_every_unknown_product_is_named(shop: Shop) -> None:
    another = WantedLine(product_id=uuid4(), quantity=1)

    with pytest.raises(UnknownProduct) as refused:
        await shop.place(lines=[UNKNOWN, many(1), another])

    named = [str(UNKNOWN.product_id), str(another.product_id)]
    assert refused.value.extra == {"product_ids": named}


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE orders.orders SET net_total = net_total + 1 WHERE id = %s", "orders_check"),
        (
            "UPDATE orders.orders SET weight_g = weight_g + 1 WHERE id = %s",
            "lines_sum_to_totals",
        ),
        ("UPDATE orders.order_items SET name = 'x' WHERE order_id = %s", "lines_are_a_snapshot"),
        ("DELETE FROM orders.order_items WHERE order_id = %s", "lines_are_a_snapshot"),
    ],
)
async def test_the_database_keeps_lines_and_totals_together(
    statement: str, constraint: str, shop: Shop
) -> None:
    order = await shop.place()

    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        async with shop.database.transaction() as tx:
            await tx.execute(statement.encode(), (order.id,))

    name = refused.value.diag.constraint_name
    assert name is not None
    assert name.startswith(constraint)


async def test_the_database_refuses_an_order_without_lines(shop: Shop) -> None:
    order = await shop.place()
    copy = (
        "INSERT INTO orders.orders SELECT (jsonb_populate_record(o, jsonb_build_object("
        "'id', %s::text, 'number', 'SO-0000-000000'))).* FROM orders.orders o WHERE id = %s"
    )

    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        async with shop.database.transaction() as tx:
            await tx.execute(copy, (str(uuid4()), order.id))

    assert refused.value.diag.constraint_name == "lines_sum_to_totals"


async def test_a_pot_is_a_pot(shop: Shop) -> None:
    """The snapshot outlives the catalogue's own idea of the product."""
    order = await shop.place()
    shop.catalogue.products.pop(POT.product_id)

    assert (await shop.orders.get(CARLA, order.id)).lines[1].name == "Cast Iron Teapot"
    shop.catalogue.products[POT.product_id] = POT
