"""Customers of the storm: what each wants of an order, and how stubbornly they ask for it."""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from demo.shop import ADDRESS, Person, Shop
from tests.chaos.scenes import NOT_SERVED

PAUSE_S = 0.2
PATIENCE_S = 180.0
RIGHT_CODE, WRONG_CODE = "123456", "000000"


@dataclass(frozen=True)
class Wish:
    """A sort of order: how it is placed, what its customer does then, how it has to end.

    `reason` is the refusal that ends it, None for an order that is kept.
    """

    what: str
    status: str
    reason: str | None
    payment_method: str = "tok_success"
    postal_code: str = ADDRESS["postal_code"]
    sold_out: bool = False
    code: str | None = None
    cancelled: str | None = None


WISHES: tuple[tuple[Wish, int], ...] = (
    (Wish("success", "confirmed", None), 60),
    (Wish("card declined", "cancelled", "card_declined", "tok_declined"), 15),
    (Wish("no money", "cancelled", "insufficient_funds", "tok_insufficient_funds"), 10),
    (
        Wish(
            "confirmed by the customer",
            "confirmed",
            None,
            "tok_confirmation_required",
            code=RIGHT_CODE,
        ),
        25,
    ),
    (
        Wish(
            "wrongly confirmed",
            "cancelled",
            "confirmation_failed",
            "tok_confirmation_required",
            code=WRONG_CODE,
        ),
        10,
    ),
    (Wish("out of stock", "cancelled", "out_of_stock", sold_out=True), 15),
    (Wish("timeout after effect", "confirmed", None, "tok_timeout_after_effect"), 15),
    (Wish("cancelled while running", "cancelled", "cancel_requested", cancelled="at once"), 20),
    (
        Wish(
            "cancelled after confirmation", "cancelled", "cancel_requested", cancelled="confirmed"
        ),
        20,
    ),
    (Wish("address not served", "cancelled", "address_not_served", postal_code=NOT_SERVED), 10),
)
"""Every sort of order, and how many of two hundred are of it."""


def wishes(count: int, choice: random.Random) -> list[Wish]:
    """`count` wishes, at least one of each sort, in the order of chance."""
    sorts, weights = zip(*WISHES, strict=True)
    chosen = [*sorts, *choice.choices(sorts, weights, k=max(0, count - len(sorts)))]
    choice.shuffle(chosen)
    return chosen


@dataclass
class Customer:
    """Somebody who asks again, under the same key, until there is an answer.

    `again` counts the requests that had to be repeated, by what came instead of an answer.
    """

    shop: Shop
    person: Person
    goods: Sequence[str]
    nowhere: str
    choice: random.Random
    again: Counter[str] = field(default_factory=Counter)
    answered: dict[str, str] = field(default_factory=dict)

    async def buy(self, wish: Wish) -> str:
        """Place the order, do what the wish says, see it end. Returns its id."""
        order_id = await self._place(wish)
        if wish.cancelled == "confirmed":
            await self._until(order_id, {"confirmed"})
        if wish.cancelled is not None:
            await self._cancel(order_id)
        await self._until(order_id, {wish.status}, wish.code)
        return order_id

    async def _place(self, wish: Wish) -> str:
        key = str(uuid.UUID(int=self.choice.getrandbits(128), version=4))
        product = self.nowhere if wish.sold_out else self.choice.choice(self.goods)
        quantity = self.choice.randint(1, 2)

        async def request() -> httpx.Response:
            return await self.shop.try_place(
                self.person,
                {product: quantity},
                key=key,
                payment_method=wish.payment_method,
                address=ADDRESS | {"postal_code": wish.postal_code},
            )

        order_id = str((await self._insist(request, {201}))["id"])
        if self.choice.random() < 0.2:  # a double click
            repeated = await self._insist(request, {201})
            assert repeated["id"] == order_id, f"key {key} placed {order_id} and {repeated['id']}"
        self.answered[key] = order_id
        return order_id

    async def _cancel(self, order_id: str) -> None:
        await self._insist(
            lambda: self.shop.call(
                "DELETE", f"/orders/{order_id}", self.person, params={"reason": "changed_mind"}
            ),
            {202},
        )

    async def _until(self, order_id: str, statuses: set[str], code: str | None = None) -> None:
        """Return once the order has one of the statuses, answering its gateway on the way."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            order = await self._insist(
                lambda: self.shop.call("GET", f"/orders/{order_id}", self.person), {200}
            )
            if order["status"] in statuses:
                return
            assert time.monotonic() < deadline, f"order {order_id} stays {order['status']}"
            if code is not None:
                await self._answer(order_id, code)
            await asyncio.sleep(PAUSE_S)

    async def _answer(self, order_id: str, code: str) -> None:
        """Send the code if the gateway waits for one."""
        found = await self._insist(
            lambda: self.shop.call("GET", "/payments", self.person, params={"order_id": order_id}),
            {200},
        )
        if [payment["status"] for payment in found["items"]] != ["requires_action"]:
            return
        key = str(uuid.UUID(int=self.choice.getrandbits(128), version=4))
        body = {"order_id": order_id, "code": code}
        # 409: an earlier answer has come through after all.
        await self._insist(
            lambda: self.shop.call("POST", "/payments", self.person, json=body, key=key),
            {200, 409},
        )

    async def _insist(
        self, request: Callable[[], Awaitable[httpx.Response]], wanted: set[int]
    ) -> Mapping[str, Any]:
        """The body of the first answer that is one of `wanted`.

        AssertionError for an answer that no repetition would change.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = await request()
            except httpx.TransportError as fault:
                self.again[type(fault).__name__] += 1
            else:
                if answer.status_code in wanted:
                    return dict(answer.json())
                assert answer.status_code >= 500, f"{answer.status_code}: {answer.text}"
                self.again[str(answer.status_code)] += 1
            assert time.monotonic() < deadline, "nobody answers"
            await asyncio.sleep(PAUSE_S)
