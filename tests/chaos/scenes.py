"""How an order comes to a step of its saga, stands there, and how it has to end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from demo.shop import ADDRESS, Person
from tests.chaos.holds import ORDER, STOCK, WORK_ITEM, AtPartner, Hold, locked
from tests.rig.platform import Platform, eventually

Moment = Literal["before the effect", "after the effect", "after the checkpoint"]
BEFORE: Moment = "before the effect"
AFTER: Moment = "after the effect"
WRITTEN: Moment = "after the checkpoint"
MOMENTS: tuple[Moment, ...] = (BEFORE, AFTER, WRITTEN)

NOT_SERVED = "00099"
"""A postal code to which nothing is delivered."""


@dataclass(frozen=True)
class AtCall:
    """A step whose effect is at a partner."""

    partner: Literal["payment", "shipping"]
    operation: str


@dataclass(frozen=True)
class AtRow:
    """A step whose effect is a change of our own row: the order, or its product's stock."""

    row: Literal["order", "stock"]


@dataclass(frozen=True)
class Ending:
    """How an order ends: its status, why, and what took effect at the partners, exactly."""

    status: str
    reason: str | None
    effects: Mapping[str, int]


@dataclass(frozen=True)
class Step:
    """A step of an orchestration, and the way of an order that comes to it."""

    saga: Literal["fulfil_order", "cancel_order_saga"]
    activity: str
    effect: AtCall | AtRow
    approach: "Approach"
    ending: Ending
    postal_code: str = ADDRESS["postal_code"]
    unstoppable: bool = False

    @property
    def name(self) -> str:
        return f"{self.saga}: {self.activity}"


@dataclass
class Scene:
    """One order on its way to `step`, and what holds it."""

    platform: Platform
    person: Person
    step: Step
    moment: Moment
    order_id: str = ""
    holds: list[Hold] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.product_id = self.platform.product()

    async def arrive(self) -> None:
        """Return once the order stands where the moment wants it.

        For "after the checkpoint" that is after the effect: what follows is stopped for all orders
        at once.
        """
        own = await self.step.approach(self)
        await own.reached()
        if self.moment != BEFORE and isinstance(self.step.effect, AtRow):
            checkpoint = await self._kept(
                locked(self.platform.durable_url, WORK_ITEM, self.order_id, self.step.activity)
            )
            await self.open(own)
            await checkpoint.reached()

    async def let_go(self, killed: tuple[str, ...] = ()) -> None:
        """Let the order go on from wherever it is held."""
        holds, self.holds = self.holds, []
        await asyncio.gather(*(hold.let_go(killed) for hold in holds))

    async def own(self) -> Hold:
        """The hold at this scene's step."""
        match self.step.effect:
            case AtCall(partner, operation):
                when = "before_effect" if self.moment == BEFORE else "after_effect"
                return await self.stop(partner, operation, when)
            case AtRow("stock"):
                return await self.lock_stock()
            case AtRow():
                return await self._kept(locked(self.platform.database_url, ORDER, self.order_id))

    async def lock_stock(self) -> Hold:
        return await self._kept(locked(self.platform.database_url, STOCK, self.product_id))

    async def stop(self, partner: str, operation: str, when: str) -> Hold:
        side = getattr(self.platform, partner)
        barrier = await side.stop(operation, when, match={"reference": self.order_id})
        hold = AtPartner(barrier)
        self.holds.append(hold)
        return hold

    async def place(self) -> None:
        order = await self.platform.shop.place(
            self.person,
            {self.product_id: 2},
            address=ADDRESS | {"postal_code": self.step.postal_code},
        )
        self.order_id = order["id"]

    async def place_and_hold(self) -> Hold:
        """Placed, and held before anything has been done for it."""
        gate = await self.lock_stock()
        await self.place()
        await gate.reached()
        return gate

    async def cancel(self) -> None:
        """The customer calls the order off; the carrier may refuse to."""
        if self.step.unstoppable:
            match = {"reference": self.order_id}
            await self.platform.shipping.fault(
                "cancel", "status", status=409, times=None, match=match
            )
        answer = await self.platform.shop.call(
            "DELETE",
            f"/orders/{self.order_id}",
            self.person,
            params={"reason": "changed_mind"},
        )
        assert answer.status_code == 202, answer.text

    async def _kept[H: Hold](self, taking: Awaitable[H]) -> H:
        hold = await taking
        self.holds.append(hold)
        return hold

    async def go_on_from(self, gate: Hold) -> Hold:
        """The hold at the step, after `gate` has been opened."""
        own = await self.own()
        await self.open(gate)
        return own

    async def open(self, gate: Hold) -> None:
        """Let the order go on from one of its holds."""
        self.holds.remove(gate)
        await gate.let_go()

    async def assert_ended(self) -> None:
        """The order has ended as it had to, with each effect once."""
        ending = self.step.ending

        async def ended() -> bool:
            return bool((await self._row())["status"] == ending.status)

        await eventually(ended, f"{self.step.name} {self.moment}: {ending.status}", within_s=90)
        row = await self._row()
        assert row["cancel_reason"] == ending.reason, (self.step.name, row)
        assert await self.effects() == ending.effects, self.step.name

    async def effects(self) -> Counter[str]:
        """How often each operation took effect for the order at the partners."""
        at_gateway, at_carrier = await asyncio.gather(
            self.platform.payment.entries(self.order_id),
            self.platform.shipping.entries(self.order_id),
        )
        return Counter(entry["operation"] for entry in (*at_gateway, *at_carrier))

    async def _row(self) -> dict[str, Any]:
        return await self.platform.row(
            "SELECT status, cancel_reason FROM orders.orders WHERE id = %s", self.order_id
        )


type Approach = Callable[[Scene], Awaitable[Hold]]


async def _at_once(scene: Scene) -> Hold:
    """The first thing that an order does."""
    own = await scene.own()
    await scene.place()
    return own


async def _placed(scene: Scene) -> Hold:
    return await scene.go_on_from(await scene.place_and_hold())


async def _called_off(scene: Scene) -> Hold:
    """An order that went as far as the capture when its customer cancelled it."""
    gate = await scene.place_and_hold()
    captured = await scene.stop("payment", "capture", "after_effect")
    await scene.open(gate)
    await captured.reached()
    await scene.cancel()
    return await scene.go_on_from(captured)


async def _confirmed(scene: Scene) -> Hold:
    """A confirmed order whose customer cancels it."""
    await scene.place()
    await scene.platform.shop.settled(scene.person, scene.order_id)
    own = await scene.own()
    await scene.cancel()
    return own


async def _refunded(scene: Scene) -> Hold:
    """A confirmed order that was cancelled, and has its money back."""
    await scene.place()
    await scene.platform.shop.settled(scene.person, scene.order_id)
    gate = await scene.stop("payment", "refund", "after_effect")
    await scene.cancel()
    await gate.reached()
    return await scene.go_on_from(gate)


SOLD = Ending("confirmed", None, {"authorize": 1, "capture": 1, "book": 1})
GIVEN_BACK = Ending(
    "cancelled",
    "cancel_requested",
    {"authorize": 1, "capture": 1, "refund": 1, "book": 1, "cancel": 1},
)
LET_GO = Ending("cancelled", "address_not_served", {"authorize": 1, "void": 1})
PARKED = Ending("stuck", "cancel_requested", {"authorize": 1, "capture": 1, "refund": 1, "book": 1})

STEPS: tuple[Step, ...] = (
    Step("fulfil_order", "reserve_stock", AtRow("stock"), _at_once, SOLD),
    Step("fulfil_order", "authorise_payment", AtCall("payment", "authorize"), _placed, SOLD),
    Step("fulfil_order", "book_shipment", AtCall("shipping", "book"), _placed, SOLD),
    Step("fulfil_order", "capture_payment", AtCall("payment", "capture"), _placed, SOLD),
    Step("fulfil_order", "confirm_order", AtRow("order"), _placed, SOLD),
    Step("fulfil_order", "refund_payment", AtCall("payment", "refund"), _called_off, GIVEN_BACK),
    Step("fulfil_order", "cancel_shipment", AtCall("shipping", "cancel"), _called_off, GIVEN_BACK),
    Step(
        "fulfil_order",
        "void_payment",
        AtCall("payment", "void"),
        _placed,
        LET_GO,
        postal_code=NOT_SERVED,
    ),
    Step("fulfil_order", "release_stock", AtRow("stock"), _called_off, GIVEN_BACK),
    Step("fulfil_order", "cancel_order", AtRow("order"), _called_off, GIVEN_BACK),
    Step("fulfil_order", "park_order", AtRow("order"), _called_off, PARKED, unstoppable=True),
    Step(
        "cancel_order_saga", "cancel_shipment", AtCall("shipping", "cancel"), _confirmed, GIVEN_BACK
    ),
    Step(
        "cancel_order_saga", "refund_payment", AtCall("payment", "refund"), _confirmed, GIVEN_BACK
    ),
    Step("cancel_order_saga", "release_stock", AtRow("stock"), _confirmed, GIVEN_BACK),
    Step("cancel_order_saga", "cancel_order", AtRow("order"), _refunded, GIVEN_BACK),
    Step("cancel_order_saga", "park_order", AtRow("order"), _refunded, PARKED, unstoppable=True),
)
"""Every step of every orchestration of orders that has an effect to be held at."""
