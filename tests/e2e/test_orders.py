"""Orders from placement to their end, as the three demo clients see them."""

import asyncio
import uuid

from demo.shop import ADDRESS
from tests.rig.books import assert_sold, assert_stock_adds_up, assert_undone
from tests.rig.platform import Platform


async def test_a_placed_order_is_confirmed(platform: Platform) -> None:
    placed = await platform.shop.place(platform.alice, {platform.product(): 2})
    assert placed["status"] == "placed"

    order = await platform.shop.settled(platform.alice, placed["id"])

    await assert_sold(platform, order)
    timeline = await platform.shop.timeline(platform.alice, order["id"])
    assert [entry["what"] for entry in timeline if entry["area"] != "message"] == [
        "placed",
        "reserved",
        "authorised",
        "booked",
        "captured",
        "committed",
        "confirmed",
    ]


async def test_a_declined_card_cancels_the_order(platform: Platform) -> None:
    placed = await platform.shop.place(
        platform.bruno, {platform.product(): 1}, payment_method="tok_declined"
    )

    order = await platform.shop.settled(platform.bruno, placed["id"])

    await assert_undone(platform, order)
    assert order["cancel_reason"] == "card_declined"


async def test_insufficient_funds_cancel_the_order(platform: Platform) -> None:
    placed = await platform.shop.place(
        platform.bruno, {platform.product(): 1}, payment_method="tok_insufficient_funds"
    )

    order = await platform.shop.settled(platform.bruno, placed["id"])

    await assert_undone(platform, order)
    assert order["cancel_reason"] == "insufficient_funds"


async def test_an_address_that_is_not_served_gives_the_money_back(platform: Platform) -> None:
    placed = await platform.shop.place(
        platform.alice, {platform.product(): 1}, address=ADDRESS | {"postal_code": "00010"}
    )

    order = await platform.shop.settled(platform.alice, placed["id"])

    await assert_undone(platform, order)
    assert order["cancel_reason"] == "address_not_served"


async def test_repeating_a_key_returns_the_first_order(platform: Platform) -> None:
    key, product = str(uuid.uuid4()), platform.product()
    first = await platform.shop.try_place(platform.alice, {product: 1}, key=key)
    again = await platform.shop.try_place(platform.alice, {product: 1}, key=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    rows = await platform.rows("SELECT 1 FROM orders.orders WHERE id = %s", first.json()["id"])
    assert len(rows) == 1


async def test_fifty_buyers_share_twenty_units(platform: Platform) -> None:
    product = platform.product()
    await platform.db.execute(
        "UPDATE products.inventory SET on_hand = reserved + 20 WHERE product_id = %s", (product,)
    )
    placed = await asyncio.gather(
        *(platform.shop.place(platform.alice, {product: 1}) for _ in range(50))
    )

    orders = await asyncio.gather(
        *(platform.shop.settled(platform.alice, o["id"], within_s=120) for o in placed)
    )

    statuses = [order["status"] for order in orders]
    assert (statuses.count("confirmed"), statuses.count("cancelled")) == (20, 30)
    for order in orders:
        await (assert_sold if order["status"] == "confirmed" else assert_undone)(platform, order)
    left = await platform.row(
        "SELECT on_hand - reserved AS available FROM products.inventory WHERE product_id = %s",
        product,
    )
    assert left["available"] == 0
    await assert_stock_adds_up(platform)
