"""What others may know of an order."""

from uuid import uuid4

from blueprints.orders.fulfilment_models import OrderNotice
from tests.integration.orders.conftest import POT, TEA, Shop, client


async def test_a_notice_holds_what_the_customer_may_be_told_and_nobodys_address(shop: Shop) -> None:
    alice = client()
    order = await shop.place(alice)

    assert await shop.book.notice(order.id) == OrderNotice(
        number=order.number,
        customer_id=alice.id,
        status="placed",
        currency="EUR",
        gross_total=order.gross_total,
        tracking_number=None,
        cancel_reason=None,
        lines=[(TEA.name, 2), (POT.name, 1)],
    )


async def test_a_notice_says_why_the_order_was_cancelled(shop: Shop) -> None:
    order = await shop.place()
    await shop.fulfilment.cancel(order.id, "out_of_stock")

    notice = await shop.book.notice(order.id)

    assert notice is not None
    assert (notice.status, notice.cancel_reason) == ("cancelled", "out_of_stock")


async def test_there_is_no_notice_of_an_order_that_was_never_placed(shop: Shop) -> None:
    assert await shop.book.notice(uuid4()) is None


async def test_the_statuses_of_many_orders_are_told_at_a_time(shop: Shop) -> None:
    placed, cancelled = await shop.place(), await shop.place()
    await shop.fulfilment.cancel(cancelled.id, "out_of_stock")

    async with shop.database.reading() as tx:
        told = await (
            await shop.book.ask_statuses(tx, [placed.id, cancelled.id, uuid4(), placed.id])
        )()

    assert told == {placed.id: "placed", cancelled.id: "cancelled"}
