"""Orders that exist: read, list, move on."""

from datetime import timedelta
from uuid import uuid4

import pytest

from blueprints.orders.models import IllegalStatusMove, MoveOrder, OrderQuery, WantedLine
from shared.auth import ORDER_MANAGER, Caller
from shared.problem import EtagMismatch, InvalidCursor, NotFound
from tests.integration.orders.conftest import TEA, Shop, client

OSCAR = Caller("employee", uuid4(), frozenset({ORDER_MANAGER}))


async def test_someone_elses_order_is_not_found(shop: Shop) -> None:
    order = await shop.place()

    with pytest.raises(NotFound):
        await shop.orders.get(client(), order.id)
    with pytest.raises(NotFound):
        await shop.orders.get(OSCAR, uuid4())
    assert await shop.orders.get(OSCAR, order.id) == order


async def test_a_client_lists_own_orders_newest_first_page_by_page(shop: Shop) -> None:
    alice = client()
    placed = [await shop.place(alice) for _ in range(5)]
    await shop.place()

    seen, cursor = [], None
    for expected in (2, 2, 1):
        page = await shop.orders.list(alice, OrderQuery(limit=2, cursor=cursor))
        assert len(page.items) == expected
        seen += [order.id for order in page.items]
        cursor = page.next_cursor

    assert seen == [order.id for order in reversed(placed)]
    assert cursor is None


async def test_a_client_never_sees_the_orders_of_others(shop: Shop) -> None:
    alice, bruno = client(), client()
    await shop.place(bruno)

    assert (await shop.orders.list(alice, OrderQuery())).items == []
    with pytest.raises(NotFound):
        await shop.orders.list(alice, OrderQuery(customer_id=bruno.id))
    with pytest.raises(NotFound):
        await shop.orders.list(alice, OrderQuery(), of_customer=bruno.id)


async def test_employees_filter_by_everything(shop: Shop) -> None:
    alice = client()
    tea = WantedLine(product_id=TEA.product_id, quantity=1)
    both, only_tea = await shop.place(alice), await shop.place(alice, lines=[tea])
    await shop.moved(only_tea, "confirmed")

    async def found(**filters: object) -> list[str]:
        query = OrderQuery.model_validate({"customer_id": alice.id, **filters})
        return [order.number for order in (await shop.orders.list(OSCAR, query)).items]

    assert await found() == [only_tea.number, both.number]
    assert await found(status="confirmed") == [only_tea.number]
    assert await found(number=both.number) == [both.number]
    assert await found(text="teapot") == [both.number]
    assert await found(text="assam -teapot") == [only_tea.number]
    assert await found(text="POT-IRON-08") == [both.number]
    assert await found(placed_from=only_tea.placed_at) == [only_tea.number]
    assert await found(placed_to=only_tea.placed_at) == [both.number]
    assert await found(placed_from=only_tea.placed_at + timedelta(seconds=1)) == []
    listed = await shop.orders.list(OSCAR, OrderQuery(), of_customer=alice.id)
    assert [order.number for order in listed.items] == [only_tea.number, both.number]


@pytest.mark.parametrize("cursor", ["nonsense", "eyJhdCI6IngiLCJpZCI6InkifQ"])
async def test_a_foreign_cursor_is_refused(cursor: str, shop: Shop) -> None:
    with pytest.raises(InvalidCursor):
        await shop.orders.list(OSCAR, OrderQuery(cursor=cursor))


async def test_an_order_is_moved_along_its_way(shop: Shop) -> None:
    order = await shop.place()
    await shop.moved(order, "confirmed")

    for version, status in ((2, "shipped"), (3, "delivered"), (4, "returned")):
        request = MoveOrder.model_validate({"status": status, "reason": "as it was"})
        order = await shop.orders.move(OSCAR, order.id, request, version)
        assert (order.status, order.version) == (status, version + 1)

    assert shop.stock.fulfilled == [order.id]
    assert await shop.events(order) == [
        "order.placed.v1",
        "order.shipped.v1",
        "order.delivered.v1",
        "order.returned.v1",
    ]
    assert (await shop.moves(order))[-1] == ("delivered", "returned", "employee", "as it was")


@pytest.mark.parametrize(
    ("where", "to", "allowed"),
    [
        ("placed", "shipped", []),
        ("confirmed", "delivered", ["shipped"]),
        ("shipped", "confirmed", ["delivered"]),
        ("delivered", "shipped", ["returned"]),
        ("returned", "delivered", []),
        ("placed", "cancelled", []),
    ],
)
async def test_an_illegal_move_names_the_legal_ones(
    where: str, to: str, allowed: list[str], shop: Shop
) -> None:
    order = await shop.place()
    await shop.moved(order, where)
    before = await shop.rows()

    with pytest.raises(IllegalStatusMove) as refused:
        await shop.orders.move(OSCAR, order.id, MoveOrder.model_validate({"status": to}), 2)

    assert refused.value.extra == {"allowed": allowed}
    assert (await shop.status(order), await shop.rows()) == (where, before)


async def test_a_move_against_another_version_is_refused(shop: Shop) -> None:
    order = await shop.place()
    await shop.moved(order, "confirmed")
    before = await shop.rows()

    with pytest.raises(EtagMismatch):
        await shop.orders.move(OSCAR, order.id, MoveOrder(status="shipped"), 1)
    with pytest.raises(NotFound):
        await shop.orders.move(OSCAR, uuid4(), MoveOrder(status="shipped"), 1)

    assert (await shop.status(order), await shop.rows()) == ("confirmed", before)


async def test_a_warehouse_that_is_away_does_not_hold_up_the_shipment(shop: Shop) -> None:
    order = await shop.place()
    await shop.moved(order, "confirmed")
    shop.stock.broken = True

    moved = await shop.orders.move(OSCAR, order.id, MoveOrder(status="shipped"), 2)

    shop.stock.broken = False
    assert moved.status == "shipped"
    assert "order.shipped.v1" in await shop.events(order)
