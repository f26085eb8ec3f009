"""Many orders of all sorts while parts die at random and partners misbehave; all from one seed."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from localcloud.partners.erp.assortment import OUT_OF_STOCK_SKU
from tests.chaos.customers import Customer, Wish, wishes
from tests.chaos.settings import STORMY
from tests.rig.facts import Facts
from tests.rig.invariants import assert_all_is_well
from tests.rig.partners import Partner
from tests.rig.platform import Platform

MORTAL = ("postgres", "identity", "servicebus", "valkey", "payment", "shipping", "functions")
"""What may die, in the order in which it can be started again."""

LIVES_S = (0.2, 1.0)
"""How long all parts live, at least and at most, before one is killed."""
DEAD_S = (0.0, 1.0)
TWO_AT_ONCE = 0.15

FAULTS = (
    ("payment", ("authorize", "capture", "void", "refund", "confirm", "get")),
    ("shipping", ("book", "cancel")),
)
FAULT_EVERY_S = (0.1, 1.0)


@dataclass
class Storm:
    """What happened: kills by part, faults by kind, orders by wish, repeated requests by cause."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0


async def rage(
    platform: Platform,
    *,
    orders: int,
    clients: int,
    seed: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Storm:
    """Play a storm to its end and check everything. AssertionError with what went wrong.

    It lasts until every order has ended and every part has died.
    """
    storm = Storm(seed)
    began = time.monotonic()
    await platform.configure(STORMY)
    choice = random.Random(seed)  # noqa: S311 - repeatable chance is the point
    customers = await _customers(platform, choice, clients)
    queue = wishes(orders, choice)
    placed: dict[str, Wish] = {}
    weather = random.Random(choice.random())  # noqa: S311
    reaper = random.Random(choice.random())  # noqa: S311
    over = asyncio.Event()

    async def buy(customer: Customer) -> None:
        while queue:
            wish = queue.pop()
            order_id = await customer.buy(wish)
            placed[order_id] = wish
            storm.orders[wish.what] += 1
            if len(placed) % 20 == 0:
                tell(f"{len(placed)} of {orders} orders have ended")

    async with asyncio.TaskGroup() as group:
        killing = group.create_task(_kill(platform, reaper, storm, over))
        raining = group.create_task(_misbehave(platform, weather, storm))
        async with asyncio.TaskGroup() as buying:
            for customer in customers:
                buying.create_task(buy(customer))
        over.set()
        raining.cancel()
        await killing
    await platform.reset_partners()
    await platform.reconnect()
    facts = await assert_all_is_well(platform, within_s=90)
    for customer in customers:
        storm.again += customer.again
        missing = set(customer.answered.values()) - {order["id"] for order in facts.orders}
        assert not missing, f"answered with 201 and missing: {missing}"
    _assert_ended_as_wished(facts, placed, storm)
    storm.took_s = time.monotonic() - began
    return storm


async def _customers(platform: Platform, choice: random.Random, count: int) -> list[Customer]:
    goods = [platform.product() for _ in range(30)]
    nowhere = await platform.shop.product_with_sku(platform.alice, OUT_OF_STOCK_SKU)
    people = (platform.alice, platform.bruno, platform.chloe)
    return [
        Customer(
            platform.shop,
            people[turn % len(people)],
            goods,
            str(nowhere["id"]),
            random.Random(choice.random()),  # noqa: S311
        )
        for turn in range(count)
    ]


async def _kill(
    platform: Platform, choice: random.Random, storm: Storm, over: asyncio.Event
) -> None:
    """Kill a part, sometimes two, and start them again; all have their turn, in random order."""
    turns: list[str] = []
    while not over.is_set() or storm.kills.keys() != set(MORTAL):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(choice.uniform(*LIVES_S)):
                await over.wait()
        if len(turns) < 2:
            turns += choice.sample(MORTAL, k=len(MORTAL))
        doomed = {turns.pop(0) for _ in range(2 if choice.random() < TWO_AT_ONCE else 1)}
        for part in doomed:
            await platform.kill(part)
            storm.kills[part] += 1
        await asyncio.sleep(choice.uniform(*DEAD_S))
        for part in sorted(doomed, key=MORTAL.index):
            await platform.start(part)


async def _misbehave(platform: Platform, choice: random.Random, storm: Storm) -> None:
    """Order a fault of a partner now and then; it replaces one that nobody has met yet.

    Otherwise they would pile up while few orders are under way, and all be met by one of them.
    """
    while True:
        await asyncio.sleep(choice.uniform(*FAULT_EVERY_S))
        name, operations = choice.choice(FAULTS)
        operation = choice.choice(operations)
        kind = choice.choice(("status", "latency", "drop", "timeout_after_effect"))
        how = {"delay_s": choice.uniform(0.1, 2.5)} if kind == "latency" else {}
        # A transport error means that the partner is being killed.
        with contextlib.suppress(httpx.TransportError):
            partner: Partner = getattr(platform, name)
            await partner.reset()
            await partner.fault(operation, kind, times=choice.randint(1, 2), **how)
            storm.faults[kind] += 1


def _assert_ended_as_wished(facts: Facts, placed: dict[str, Wish], storm: Storm) -> None:
    ended = {order["id"]: (order["status"], order["cancel_reason"]) for order in facts.orders}
    wrong = [
        f"{wish.what}: order {order_id} ended {ended[order_id]}"
        for order_id, wish in placed.items()
        if ended[order_id] != (wish.status, wish.reason)
    ]
    assert not wrong, "\n".join(wrong)
    storm.endings.update(
        f"{status} ({reason})" if reason else status
        for status, reason in (ended[order_id] for order_id in placed)
    )
