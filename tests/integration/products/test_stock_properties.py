"""Whatever is asked of the stock in whatever order: counters, reservations and movements agree."""

import asyncio
from collections import Counter
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from blueprints.products.stock import StockService
from tests.integration.products.warehouse import Orders, Warehouse

# What moves stock most stands twice, so that long stories come about.
STEPS = ("reserve", "reserve", "expire", "expire", "commit", "release", "fulfil", "cancel")
PRODUCTS, BUYERS = 2, 3

quantities = st.lists(
    st.tuples(st.integers(0, PRODUCTS - 1), st.integers(1, 3)), min_size=1, max_size=3
)
orders_of_buyers = st.lists(quantities, min_size=BUYERS, max_size=BUYERS)
stock_of_products = st.lists(st.integers(0, 6), min_size=PRODUCTS, max_size=PRODUCTS)
moves = st.tuples(st.sampled_from(STEPS), st.integers(0, BUYERS - 1))


class Model:
    """What ought to happen, said as simply as can be."""

    def __init__(self, on_hand: dict[UUID, int], wanted: dict[UUID, Counter[UUID]]) -> None:
        self.on_hand, self.wanted = on_hand, wanted
        self.status: dict[UUID, str] = {}
        self.to_cancel: set[UUID] = set()

    def reserved(self, product: UUID) -> int:
        return sum(
            self.wanted[order][product]
            for order, status in self.status.items()
            if status in {"held", "committed"}
        )

    def reserve(self, order: UUID) -> dict[str, str]:
        status = self.status.get(order)
        if order in self.to_cancel:
            return {"refused": "cancel_requested"}
        if status == "released":
            return {"refused": "reservation_released"}
        if status in {None, "expired"}:
            for product, quantity in self.wanted[order].items():
                if self.on_hand[product] - self.reserved(product) < quantity:
                    return {"refused": "out_of_stock"}
            self.status[order] = "held"
        return {}

    def release(self, order: UUID) -> dict[str, str]:
        if self.status.get(order) != "fulfilled":
            self.status[order] = "released"
        return {}

    def commit(self, order: UUID) -> bool:
        if self.status.get(order) == "held":
            self.status[order] = "committed"
        return self.status.get(order) in {"committed", "fulfilled"}

    def fulfil(self, order: UUID) -> None:
        if self.status.get(order) == "committed":
            self.status[order] = "fulfilled"
            for product, quantity in self.wanted[order].items():
                self.on_hand[product] -= quantity

    def expire(self, order: UUID) -> int:
        if self.status.get(order) != "held":
            return 0
        self.status[order] = "expired"
        return 1


async def step(
    name: str, order: UUID, stock: StockService, orders: Orders, warehouse: Warehouse
) -> object:
    if name == "expire":
        await warehouse.let_time_run_out(order)
        return await stock.expire()
    if name == "cancel":
        orders.ask_to_cancel(order)
        return None
    return await getattr(stock, name)(order)


@settings(max_examples=100, deadline=None)
@given(
    on_hand=stock_of_products,
    lines=orders_of_buyers,
    asked=st.lists(moves, min_size=5, max_size=25),
)
async def test_any_sequence_of_steps_does_what_the_model_says(
    *,
    stock: StockService,
    orders: Orders,
    warehouse: Warehouse,
    on_hand: list[int],
    lines: list[list[tuple[int, int]]],
    asked: list[tuple[str, int]],
) -> None:
    products = [await warehouse.product(count) for count in on_hand]
    wanted: dict[UUID, Counter[UUID]] = {}
    for line in lines:
        order = orders.place(*((products[index], quantity) for index, quantity in line))
        wanted[order] = Counter()
        for index, quantity in line:
            wanted[order][products[index]] += quantity
    model = Model(dict(zip(products, on_hand, strict=True)), wanted)
    buyers = list(wanted)

    for name, buyer in asked:
        order = buyers[buyer]
        answer = await step(name, order, stock, orders, warehouse)
        if name == "cancel":
            model.to_cancel.add(order)
            continue
        assert (name, answer) == (name, getattr(model, name)(order))
        for product in products:
            counters = await warehouse.counters(product)
            assert counters == (model.on_hand[product], model.reserved(product))
            assert counters[1] <= counters[0]
    for order in buyers:
        found = {status for status, _ in (await warehouse.statuses(order)).values()}
        assert found == ({model.status[order]} if order in model.status else set())
    await warehouse.check_books(*products)
    for order in buyers:
        await stock.release(order)


@settings(max_examples=80, deadline=None)
@given(
    on_hand=stock_of_products,
    lines=orders_of_buyers,
    rounds=st.lists(st.lists(moves, min_size=2, max_size=8), max_size=4),
)
async def test_steps_at_the_same_time_keep_the_books(
    *,
    stock: StockService,
    orders: Orders,
    warehouse: Warehouse,
    on_hand: list[int],
    lines: list[list[tuple[int, int]]],
    rounds: list[list[tuple[str, int]]],
) -> None:
    products = [await warehouse.product(count) for count in on_hand]
    buyers = [
        orders.place(*((products[index], quantity) for index, quantity in line)) for line in lines
    ]

    for asked in rounds:
        await asyncio.gather(
            *(step(name, buyers[buyer], stock, orders, warehouse) for name, buyer in asked)
        )
        await warehouse.check_books(*products)
        for product in products:
            count, reserved = await warehouse.counters(product)
            assert 0 <= reserved <= count
    for order in buyers:
        found = {status for status, _ in (await warehouse.statuses(order)).values()}
        assert len(found) <= 1
        await stock.release(order)
