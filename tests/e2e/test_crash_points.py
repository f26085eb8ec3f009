"""The Functions host is killed at every step of a real saga, before the effect and after it.

The step is held where it is by a barrier in the partner or by a row lock in PostgreSQL; nothing
sleeps, and the product has no hook for it.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from demo.shop import Person
from tests.rig.books import assert_sold, assert_undone, captured_and_refunded, effects
from tests.rig.platform import Platform, eventually
from tests.rig.postgres import RowLock

LOCK_STOCK = "SELECT 1 FROM products.inventory WHERE product_id = %s FOR UPDATE"
LOCK_ORDER = "SELECT 1 FROM orders.orders WHERE id = %s FOR UPDATE"
LOCK_WORK_ITEM = "SELECT 1 FROM durable.tasks WHERE instance_id = %s AND name = %s FOR UPDATE"


@dataclass
class Scene:
    """One order on its way, and whoever placed it."""

    platform: Platform
    person: Person
    product_id: str
    order_id: str = ""

    async def place(self) -> None:
        order = await self.platform.shop.place(self.person, {self.product_id: 2})
        self.order_id = order["id"]

    async def cancel(self) -> None:
        answer = await self.platform.shop.call(
            "DELETE",
            f"/orders/{self.order_id}",
            self.person,
            params={"reason": "changed_mind"},
        )
        assert answer.status_code == 202, answer.text


@contextlib.asynccontextmanager
async def at_partner(
    scene: Scene, partner: str, operation: str, when: str, *, cancelled: bool
) -> AsyncIterator[None]:
    """The saga stands at a call of `partner`, before or after its effect."""
    platform = scene.platform
    async with contextlib.AsyncExitStack() as stack:
        barrier = await stack.enter_async_context(
            getattr(platform, partner).barrier(operation, when)
        )
        await (place_and_cancel(scene) if cancelled else scene.place())
        await barrier.reached()
        yield


async def place_and_cancel(scene: Scene) -> None:
    """An order that went as far as the capture when its customer cancelled it."""
    async with scene.platform.payment.barrier("capture", "after_effect") as captured:
        await scene.place()
        await captured.reached()
        await scene.cancel()


@contextlib.asynccontextmanager
async def at_row(scene: Scene, lock: RowLock, work_item: str, when: str) -> AsyncIterator[None]:
    """The saga stands at a row that the step changes, or at the checkpoint after the step.

    Whoever waits when the block ends belongs to a host that was killed, and dies with it.
    """
    await lock.waited_for()
    if when == "before_effect":
        yield
        await lock.end_waiters()
        await lock.let_go()
        return
    checkpoint = RowLock(scene.platform.durable_url, LOCK_WORK_ITEM, scene.order_id, work_item)
    async with checkpoint:
        await lock.let_go()
        await checkpoint.waited_for()
        yield
        await checkpoint.end_waiters()


@contextlib.asynccontextmanager
async def at_reserve_stock(scene: Scene, when: str) -> AsyncIterator[None]:
    async with RowLock(scene.platform.database_url, LOCK_STOCK, scene.product_id) as lock:
        await scene.place()
        async with at_row(scene, lock, "reserve_stock", when):
            yield


@contextlib.asynccontextmanager
async def at_confirm_order(scene: Scene, when: str) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        captured = await stack.enter_async_context(
            scene.platform.payment.barrier("capture", "after_effect")
        )
        await scene.place()
        await captured.reached()
        lock = await stack.enter_async_context(
            RowLock(scene.platform.database_url, LOCK_ORDER, scene.order_id)
        )
        await captured.release()
        async with at_row(scene, lock, "confirm_order", when):
            yield


@contextlib.asynccontextmanager
async def at_release_stock(scene: Scene, when: str) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        voided = await stack.enter_async_context(
            scene.platform.shipping.barrier("cancel", "after_effect")
        )
        await place_and_cancel(scene)
        await voided.reached()
        lock = await stack.enter_async_context(
            RowLock(scene.platform.database_url, LOCK_STOCK, scene.product_id)
        )
        await voided.release()
        async with at_row(scene, lock, "release_stock", when):
            yield


@contextlib.asynccontextmanager
async def at_cancel_order(scene: Scene, when: str) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        cancelled = await stack.enter_async_context(
            scene.platform.shipping.barrier("cancel", "after_effect")
        )
        await place_and_cancel(scene)
        await cancelled.reached()
        lock = await stack.enter_async_context(
            RowLock(scene.platform.database_url, LOCK_ORDER, scene.order_id)
        )
        await cancelled.release()
        async with at_row(scene, lock, "cancel_order", when):
            yield


async def assert_given_back(platform: Platform, order: dict[str, Any]) -> None:
    """The order was paid and booked, then its customer cancelled it: each is undone, once."""
    await assert_undone(platform, order)
    assert (order["cancel_reason"], order["cancel_cause"]) == ("cancel_requested", "changed_mind")
    total = order["gross_total"]
    assert await captured_and_refunded(platform, order["id"]) == (total, total)
    assert await effects(platform, order["id"]) == {
        "authorize": 1,
        "capture": 1,
        "refund": 1,
        "book": 1,
        "cancel": 1,
    }


type Held = Callable[[Scene, str], contextlib.AbstractAsyncContextManager[None]]
type Check = Callable[[Platform, dict[str, Any]], Awaitable[None]]


def at_call(partner: str, operation: str, *, cancelled: bool = False) -> Held:
    return lambda scene, when: at_partner(scene, partner, operation, when, cancelled=cancelled)


STEPS: dict[str, tuple[Held, Check]] = {
    "reserve_stock": (at_reserve_stock, assert_sold),
    "authorise_payment": (at_call("payment", "authorize"), assert_sold),
    "book_shipment": (at_call("shipping", "book"), assert_sold),
    "capture_payment": (at_call("payment", "capture"), assert_sold),
    "confirm_order": (at_confirm_order, assert_sold),
    "refund_payment": (at_call("payment", "refund", cancelled=True), assert_given_back),
    "cancel_shipment": (at_call("shipping", "cancel", cancelled=True), assert_given_back),
    "release_stock": (at_release_stock, assert_given_back),
    "cancel_order": (at_cancel_order, assert_given_back),
}


@pytest.mark.parametrize("when", ["before_effect", "after_effect"])
@pytest.mark.parametrize("step", STEPS)
async def test_an_order_ends_right_when_the_host_is_killed_at(
    step: str, when: str, platform: Platform
) -> None:
    held, check = STEPS[step]
    scene = Scene(platform, platform.alice, platform.product())

    async with held(scene, when):
        await platform.kill("functions")
    await platform.start("functions")

    order = await platform.shop.settled(platform.alice, scene.order_id)
    await check(platform, order)
    await eventually(lambda: nothing_left(platform, scene.order_id), "an empty work queue")


async def nothing_left(platform: Platform, order_id: str) -> bool:
    """Whether the durable store has no work left for the order."""
    async with RowLock(platform.durable_url, "SELECT 1") as look:
        assert look._connection is not None
        cursor = await look._connection.execute(
            "SELECT (SELECT count(*) FROM durable.tasks WHERE instance_id = %(id)s)"
            " + (SELECT count(*) FROM durable.inbox WHERE instance_id = %(id)s)",
            {"id": order_id},
        )
        row = await cursor.fetchone()
        return row is not None and row[0] == 0
