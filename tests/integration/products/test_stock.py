"""Reserving, giving back, keeping and handing over stock, in a real PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from blueprints.products import reservations_repository
from blueprints.products.stock import StockService
from shared.db import Database
from tests.integration.products.warehouse import Orders, Warehouse, told


async def test_a_placed_order_holds_every_line_summed_by_product(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle, cup = await warehouse.product(10), await warehouse.product(5)
    order = orders.place((kettle, 2), (cup, 5), (kettle, 3))

    assert await stock.reserve(order) == {}

    assert await warehouse.statuses(order) == {kettle: ("held", 5), cup: ("held", 5)}
    assert await warehouse.counters(kettle) == (10, 5)
    assert await warehouse.counters(cup) == (5, 5)
    await warehouse.check_books()


async def test_an_order_short_of_one_line_takes_nothing(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle, cup = await warehouse.product(10), await warehouse.product(5)
    order = orders.place((kettle, 2), (cup, 3), (cup, 3))

    assert await stock.reserve(order) == {"refused": "out_of_stock"}

    assert await warehouse.statuses(order) == {}
    assert await warehouse.counters(kettle) == (10, 0)
    assert await warehouse.counters(cup) == (5, 0)
    assert await warehouse.movements(order) == 0


async def test_a_product_without_stock_of_any_kind_is_out_of_stock(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    order = orders.place((uuid7(), 1))

    assert await stock.reserve(order) == {"refused": "out_of_stock"}
    assert await warehouse.statuses(order) == {}


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        ("confirmed", "order_confirmed"),
        ("cancelled", "order_cancelled"),
        ("stuck", "order_stuck"),
        ("cancelling", "order_cancelling"),
    ],
)
async def test_only_a_placed_order_reserves(
    stock: StockService, orders: Orders, warehouse: Warehouse, status: str, refusal: str
) -> None:
    kettle = await warehouse.product(1)
    order = orders.place((kettle, 1))
    orders.move(order, status)

    assert await stock.reserve(order) == {"refused": refusal}
    assert await warehouse.counters(kettle) == (1, 0)


async def test_an_order_that_is_to_be_cancelled_reserves_nothing(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(1)
    order = orders.place((kettle, 1))
    orders.ask_to_cancel(order)

    assert await stock.reserve(order) == {"refused": "cancel_requested"}
    assert await warehouse.counters(kettle) == (1, 0)


async def test_an_order_that_nobody_knows_reserves_nothing(stock: StockService) -> None:
    assert await stock.reserve(uuid7()) == {"refused": "order_unknown"}


async def test_repeating_a_reservation_takes_nothing_more(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    order = orders.place((kettle, 3))

    assert [await stock.reserve(order), await stock.reserve(order)] == [{}, {}]

    assert await warehouse.counters(kettle) == (3, 3)
    assert await warehouse.movements(order) == 1


async def test_repeats_at_the_same_time_take_the_stock_once(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    order = orders.place((kettle, 3))

    answers = await asyncio.gather(*(stock.reserve(order) for _ in range(8)))

    assert answers == [{}] * 8
    assert await warehouse.counters(kettle) == (3, 3)
    assert await warehouse.movements(order) == 1


async def test_fifty_buyers_for_twenty_pieces_get_exactly_twenty(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(20)
    bought = [orders.place((kettle, 1)) for _ in range(50)]

    answers = await asyncio.gather(*(stock.reserve(order) for order in bought))

    assert answers.count({}) == 20
    assert answers.count({"refused": "out_of_stock"}) == 30
    assert await warehouse.counters(kettle) == (20, 20)
    await warehouse.check_books()


async def test_buyers_of_the_same_products_in_any_order_do_not_deadlock(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle, cup = await warehouse.product(30), await warehouse.product(20)
    there = [orders.place((kettle, 1), (cup, 1)) for _ in range(20)]
    back = [orders.place((cup, 1), (kettle, 1)) for _ in range(20)]

    answers = await asyncio.gather(*(stock.reserve(order) for order in there + back))

    assert answers.count({}) == 20
    assert await warehouse.counters(kettle) == (30, 20)
    assert await warehouse.counters(cup) == (20, 20)
    await warehouse.check_books()


async def test_a_reservation_that_waited_takes_what_came_back_meanwhile(
    database: Database, stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(2)
    first, second = orders.place((kettle, 2)), orders.place((kettle, 2))
    await stock.reserve(first)
    async with database.transaction() as tx:
        await reservations_repository.release(tx, first, [kettle])
        waiting = asyncio.create_task(stock.reserve(second))
        await warehouse.somebody_waits()

    assert await waiting == {}

    assert await warehouse.counters(kettle) == (2, 2)
    await warehouse.check_books()


async def test_a_confirmation_that_waited_keeps_what_was_reserved_anew(
    database: Database, stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(2)
    order = orders.place((kettle, 2))
    await stock.reserve(order)
    await warehouse.let_time_run_out(order)
    await stock.expire()
    async with database.transaction() as tx:
        await reservations_repository.hold(tx, order, {kettle: 2}, timedelta(hours=1))
        waiting = asyncio.create_task(stock.commit(order))
        await warehouse.somebody_waits()

    assert await waiting is True

    assert await warehouse.statuses(order) == {kettle: ("committed", 2)}
    assert await warehouse.counters(kettle) == (2, 2)


async def test_a_released_order_gives_everything_back_and_cannot_reserve_again(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    order = orders.place((kettle, 2))
    await stock.reserve(order)

    assert [await stock.release(order), await stock.release(order)] == [{}, {}]
    assert await stock.reserve(order) == {"refused": "reservation_released"}

    assert await warehouse.counters(kettle) == (3, 0)
    assert await warehouse.statuses(order) == {kettle: ("released", 2)}
    assert told(await stock.stock_history(order)) == [
        ("reserved", {kettle: 2}),
        ("released", {kettle: 2}),
    ]
    await warehouse.check_books()


async def test_a_reservation_that_comes_after_its_release_takes_nothing(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    order = orders.place((kettle, 2))

    assert await stock.release(order) == {}
    assert await stock.reserve(order) == {"refused": "reservation_released"}

    assert await warehouse.counters(kettle) == (3, 0)
    assert await stock.stock_history(order) == []


async def test_reserving_and_releasing_at_the_same_time_leaves_nothing_reserved(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle, cup = await warehouse.product(100), await warehouse.product(100)
    placed = [orders.place((kettle, 1), (cup, 2)) for _ in range(25)]

    await asyncio.gather(
        *(step(order) for order in placed for step in (stock.reserve, stock.release))
    )

    assert await warehouse.counters(kettle) == (100, 0)
    assert await warehouse.counters(cup) == (100, 0)
    await warehouse.check_books()


async def test_releasing_what_nobody_knows_is_done(stock: StockService) -> None:
    assert await stock.release(uuid7()) == {}


async def test_committed_stock_stays_when_time_runs_out(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    order = orders.place((kettle, 2))
    await stock.reserve(order)

    assert [await stock.commit(order), await stock.commit(order)] == [True, True]
    await warehouse.let_time_run_out(order)
    assert await stock.expire() == 0

    assert await warehouse.statuses(order) == {kettle: ("committed", 2)}
    assert await warehouse.counters(kettle) == (3, 2)
    assert told(await stock.stock_history(order)) == [
        ("reserved", {kettle: 2}),
        ("committed", {kettle: 2}),
    ]


async def test_committed_stock_can_be_released(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    order = orders.place((kettle, 2))
    await stock.reserve(order)
    await stock.commit(order)

    await stock.release(order)

    assert await warehouse.counters(kettle) == (3, 0)
    assert await stock.commit(order) is False


async def test_an_expired_reservation_is_given_back_and_cannot_be_committed(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    order = orders.place((kettle, 2))
    await stock.reserve(order)
    await warehouse.let_time_run_out(order)

    assert [await stock.expire(), await stock.expire()] == [1, 0]

    assert await stock.commit(order) is False
    assert await warehouse.statuses(order) == {kettle: ("expired", 2)}
    assert await warehouse.counters(kettle) == (3, 0)
    await warehouse.check_books()


async def test_an_order_still_placed_may_reserve_anew_after_expiry(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    order = orders.place((kettle, 2))
    await stock.reserve(order)
    await warehouse.let_time_run_out(order)
    await stock.expire()

    assert await stock.reserve(order) == {}

    assert await stock.commit(order) is True
    assert await warehouse.counters(kettle) == (3, 2)
    await warehouse.check_books()


async def test_an_expired_reservation_does_not_come_back_when_others_took_the_stock(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    late, quick = orders.place((kettle, 2)), orders.place((kettle, 2))
    await stock.reserve(late)
    await warehouse.let_time_run_out(late)
    await stock.expire()
    await stock.reserve(quick)

    assert await stock.reserve(late) == {"refused": "out_of_stock"}

    assert await warehouse.statuses(late) == {kettle: ("expired", 2)}
    assert await warehouse.counters(kettle) == (3, 2)


async def test_an_expired_order_that_is_released_cannot_reserve_again(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    order = orders.place((kettle, 2))
    await stock.reserve(order)
    await warehouse.let_time_run_out(order)
    await stock.expire()

    await stock.release(order)

    assert await stock.reserve(order) == {"refused": "reservation_released"}
    assert await warehouse.counters(kettle) == (3, 0)


async def test_a_reservation_is_not_expired_before_its_time(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(3)
    order = orders.place((kettle, 2))
    await stock.reserve(order)

    assert await stock.expire() == 0
    assert await warehouse.counters(kettle) == (3, 2)


async def test_expiry_and_confirmation_at_the_same_time_agree(
    database: Database, stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    expiring = StockService(database, orders, ttl_s=0)
    kettle, cup = await warehouse.product(100), await warehouse.product(100)
    placed = [orders.place((kettle, 1), (cup, 1)) for _ in range(30)]
    for order in placed:
        assert await expiring.reserve(order) == {}

    *kept, expired = await asyncio.gather(
        *(stock.commit(order) for order in placed), stock.expire()
    )

    assert sum(kept) + expired == 30
    assert await warehouse.counters(kettle) == (100, sum(kept))
    assert await warehouse.counters(cup) == (100, sum(kept))
    await warehouse.check_books()


async def test_an_order_that_never_reserved_cannot_be_committed(stock: StockService) -> None:
    assert await stock.commit(uuid7()) is False


async def test_goods_that_leave_drop_from_on_hand_and_reserved_once(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(5)
    order = orders.place((kettle, 2))
    await stock.reserve(order)
    await stock.commit(order)

    await stock.fulfil(order)
    await stock.fulfil(order)

    assert await warehouse.counters(kettle) == (3, 0)
    assert await warehouse.statuses(order) == {kettle: ("fulfilled", 2)}
    assert told(await stock.stock_history(order)) == [
        ("reserved", {kettle: 2}),
        ("committed", {kettle: 2}),
        ("fulfilled", {kettle: 2}),
    ]
    await warehouse.check_books()


async def test_goods_that_left_cannot_be_released(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(5)
    order = orders.place((kettle, 2))
    await stock.reserve(order)
    await stock.commit(order)
    await stock.fulfil(order)

    assert await stock.release(order) == {}

    assert await warehouse.statuses(order) == {kettle: ("fulfilled", 2)}
    assert await warehouse.counters(kettle) == (3, 0)
    await warehouse.check_books()


async def test_on_hand_stops_at_zero_when_the_erp_counted_the_goods_as_gone_already(
    database: Database, stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(2)
    order = orders.place((kettle, 2))
    await stock.reserve(order)
    await stock.commit(order)
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE products.inventory SET on_hand = 1 WHERE product_id = %s", (kettle,)
        )
        await tx.execute(
            """
            INSERT INTO products.stock_movements (
                product_id, kind, quantity, on_hand_change, reserved_change
            )
            VALUES (%s, 'counted', 1, -1, 0)
            """,
            (kettle,),
        )

    await stock.fulfil(order)

    assert await warehouse.counters(kettle) == (0, 0)
    await warehouse.check_books()


async def test_a_held_order_is_not_handed_over(
    stock: StockService, orders: Orders, warehouse: Warehouse
) -> None:
    kettle = await warehouse.product(5)
    order = orders.place((kettle, 2))
    await stock.reserve(order)

    await stock.fulfil(order)

    assert await warehouse.statuses(order) == {kettle: ("held", 2)}
    assert await warehouse.counters(kettle) == (5, 2)
