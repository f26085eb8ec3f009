"""The running platform as a test sees it: callers, partners, database, and the power switch."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from demo.shop import Person, Shop
from localcloud import environment
from localcloud.cloud import LocalCloud
from tests.rig.messages import waiting_messages
from tests.rig.partners import Partner
from tests.rig.postgres import connected

TASK_SCHEDULED = 4
"""The `EventType` of a step's call in the Durable history."""

# A server closes connections that idle for five seconds; one must not be used at that very moment.
LIMITS = httpx.Limits(keepalive_expiry=2)

QUEUES = ("notifications", "audit", "delivery-reports")
"""Where those wait who are told of what has happened."""

type Db = psycopg.AsyncConnection[dict[str, Any]]


@dataclass
class Platform:
    """One local cloud, used through its public faces."""

    cloud: LocalCloud
    shop: Shop
    db: Db
    payment: Partner
    shipping: Partner
    erp: Partner
    alice: Person
    bruno: Person
    chloe: Person
    carla: Person
    oscar: Person
    ada: Person
    products: list[dict[str, Any]]
    _turn: Iterator[int] = field(default_factory=itertools.count)

    @property
    def database_url(self) -> str:
        """The platform's database, opened as somebody who may end other people's sessions."""
        password = self.cloud.state.secrets().postgres
        return environment.database_url(self.cloud.ports, "platform", password, role="postgres")

    @property
    def durable_url(self) -> str:
        return self.cloud.database_url("durable")

    def product(self) -> str:
        """The id of a product in stock, another one each time, so that tests stay apart."""
        return str(self.products[next(self._turn) % len(self.products)]["id"])

    async def kill(self, part: str) -> None:
        """End a part as a power cut would; it stays down."""
        await asyncio.to_thread(self.cloud.kill, part)

    async def start(self, part: str) -> None:
        """Start a part again, on its old port, and wait until it serves."""
        await asyncio.to_thread(self.cloud.start_part, part)

    async def configure(self, settings: Mapping[str, str]) -> None:
        """Let the application run with these settings, which costs a restart if they are new."""
        if self.cloud.settings != settings:
            self.cloud.settings.clear()
            self.cloud.settings.update(settings)
            await asyncio.to_thread(self.cloud.stop_part, "functions")
            await self.start("functions")

    async def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """What a query finds in the platform's database."""
        cursor = await self.db.execute(query, parameters)
        return await cursor.fetchall()

    async def row(self, query: str, *parameters: Any) -> dict[str, Any]:
        """The one row that a query finds. AssertionError if there are more or none."""
        found = await self.rows(query, *parameters)
        assert len(found) == 1, found
        return found[0]

    async def attempts(self, order_id: str, step: str) -> int:
        """How often the order's fulfilment called `step` so far."""
        async with connected(self.durable_url) as durable:
            cursor = await durable.execute(
                "SELECT events FROM durable.history WHERE instance_id = %s", (order_id,)
            )
            turns = await cursor.fetchall()
        events = [event for turn in turns for event in json.loads(f"[{turn['events']}]")]
        return sum(e["EventType"] == TASK_SCHEDULED and e["Name"] == step for e in events)

    async def quiet(self) -> None:
        """Return once nothing is under way: no open saga, no unsent event, no work item."""

        async def idle() -> bool:
            left = await self.row(
                "SELECT (SELECT count(*) FROM messaging.outbox WHERE sent_at IS NULL)"
                " + (SELECT count(*) FROM orders.orders WHERE status IN ('placed', 'cancelling'))"
                " AS left"
            )
            return bool(left["left"] == 0)

        await eventually(idle, "a quiet platform", within_s=60)
        await self.everybody_told()

    async def everybody_told(self) -> None:
        """Return once all that has happened was told to whom it concerns, and is on record."""

        async def told() -> bool:
            left = await self.row(
                "SELECT (SELECT count(*) FROM messaging.outbox WHERE sent_at IS NULL)"
                " + (SELECT count(*) FROM notifications.deliveries"
                "    WHERE status IN ('pending', 'accepted'))"
                " AS left"
            )
            waiting = await waiting_messages(self.cloud)
            return int(left["left"]) == sum(waiting[queue] for queue in QUEUES) == 0

        await eventually(told, "everybody told", within_s=90)

    async def reconnect(self) -> None:
        """Connect to the database anew, after it was restarted."""
        await self.db.close()
        self.db = await opened_anew(self.database_url)

    async def reset_partners(self) -> None:
        for partner in (self.payment, self.shipping, self.erp):
            await partner.reset()


async def opened_anew(url: str) -> Db:
    return await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row)


async def eventually(
    condition: Callable[[], Awaitable[bool]], what: str, *, within_s: float = 30
) -> None:
    """Return once `condition` holds. AssertionError naming `what` if it does not in time."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def opened(cloud: LocalCloud) -> AsyncIterator[Platform]:
    """The platform on a started cloud: demo people signed in and registered, catalogue read."""
    async with contextlib.AsyncExitStack() as stack:
        shop = await stack.enter_async_context(
            Shop(
                api=f"{cloud.url('functions')}/api/v1",
                identity=cloud.url("identity"),
                _http=httpx.AsyncClient(timeout=30, trust_env=False, limits=LIMITS),
            )
        )

        async def partner(name: str) -> Partner:
            http = httpx.AsyncClient(
                base_url=cloud.url(name), timeout=30, trust_env=False, limits=LIMITS
            )
            return Partner(name, await stack.enter_async_context(http))

        async def client(name: str) -> Person:
            person = await shop.sign_in(name)
            await shop.register(person)
            return person

        alice = await client("alice")
        products = [
            product
            for product in await shop.products(alice, limit=100)
            if product["available"] >= 20
        ]
        platform = Platform(
            cloud=cloud,
            shop=shop,
            db=await opened_anew(cloud.database_url("platform")),
            payment=await partner("payment"),
            shipping=await partner("shipping"),
            erp=await partner("erp"),
            alice=alice,
            bruno=await client("bruno"),
            chloe=await client("chloe"),
            carla=await shop.sign_in("carla", employee=True),
            oscar=await shop.sign_in("oscar", employee=True),
            ada=await shop.sign_in("ada", employee=True),
            products=products,
        )
        try:
            yield platform
        finally:
            await platform.db.close()
