"""The requests that the bench sends, as one signed-in client."""

import contextlib
import itertools
import random
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psycopg

from bench.load import Measured, Request, closed_loop
from demo.shop import ADDRESS, Person, Shop
from localcloud.cloud import LocalCloud

WORDS = ("tea", "kitchen", "garden", "steel", "cotton", "lamp", "book", "paper", "tool", "bottle")
CUSTOMERS = 32
"""What one person is told is written in order: a shop has more customers than one."""
PLENTY = "UPDATE products.inventory SET on_hand = 1000000 WHERE on_hand > 0"


class Target:
    """The platform under load."""

    def __init__(
        self, session: aiohttp.ClientSession, api: str, people: list[Person], product_ids: list[str]
    ) -> None:
        self._session, self._api = session, api
        self.person, self.product_ids = people[0], product_ids
        self._own_order = ""
        self._buyers = itertools.cycle(people)
        self._words = itertools.cycle(WORDS)
        self._random = random.Random(7)  # noqa: S311 - which product, not a secret

    async def loop(self, request: Request, *, clients: int, seconds: float) -> Measured:
        """`request` under closed-loop load, after a second of warming up."""
        await closed_loop(request, clients=clients, seconds=1.0)
        return await closed_loop(request, clients=clients, seconds=seconds)

    async def list_products(self, _: int) -> bool:
        return await self._get("/products?limit=20")

    async def get_product(self, _: int) -> bool:
        return await self._get(f"/products/{self._random.choice(self.product_ids)}")

    async def search_products(self, _: int) -> bool:
        return await self._get(f"/products/search?q={next(self._words)}")

    async def get_order(self, _: int) -> bool:
        if not self._own_order:
            self._own_order = await self.placed(self.person)
        return await self._get(f"/orders/{self._own_order}")

    async def place_order(self, _: int) -> bool:
        """Place an order of one to three products, as one customer after the other."""
        return bool(await self.placed(next(self._buyers)))

    async def placed(self, buyer: Person | None = None) -> str:
        """The id of an order of one to three products, now placed; empty if it was refused.

        By `buyer`, or by whoever's turn it is.
        """
        lines = [
            {"product_id": product_id, "quantity": 1}
            for product_id in self._random.sample(self.product_ids, self._random.randint(1, 3))
        ]
        body = {
            "lines": lines,
            "shipping_address": ADDRESS,
            "shipping_service": "standard",
            "payment_method": "tok_success",
        }
        headers = (buyer or next(self._buyers)).headers | {"Idempotency-Key": str(uuid.uuid4())}
        async with self._session.post(f"{self._api}/orders", json=body, headers=headers) as answer:
            placed: dict[str, Any] = await answer.json(content_type=None)
            return str(placed["id"]) if answer.status == 201 else ""

    async def _get(self, path: str) -> bool:
        async with self._session.get(f"{self._api}{path}") as answer:
            await answer.read()
            return answer.status == 200


@contextlib.asynccontextmanager
async def prepared(cloud: LocalCloud) -> AsyncIterator[Target]:
    """A target with registered clients and products that do not run out."""
    api = f"{cloud.url('functions')}/api/v1"
    async with Shop(api=api, identity=cloud.url("identity")) as shop:
        person = await shop.sign_in("alice")
        others = [await stranger(cloud.url("identity"), number) for number in range(1, CUSTOMERS)]
        for each in (person, *others):
            await shop.register(each)
        products = await shop.products(person, limit=100)
    connection = await psycopg.AsyncConnection.connect(
        cloud.database_url("platform"), autocommit=True
    )
    async with connection:
        await connection.execute(PLENTY)
    ids = [product["id"] for product in products if product["available"] > 0]
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(headers=person.headers, timeout=timeout) as session:
        yield Target(session, api, [person, *others], ids)


async def stranger(identity: str, number: int) -> Person:
    """Somebody whom the directory does not know, with a token made to order."""
    oid = str(uuid.uuid4())
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{identity}/control/tokens", json={"person": "alice", "claims": {"oid": oid}}
        ) as answer,
    ):
        answer.raise_for_status()
        return Person(f"customer{number}", oid, (await answer.json())["access_token"])
