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
PLENTY = "UPDATE products.inventory SET on_hand = 1000000 WHERE on_hand > 0"


class Target:
    """The platform under load."""

    def __init__(
        self, session: aiohttp.ClientSession, api: str, person: Person, product_ids: list[str]
    ) -> None:
        self._session, self._api = session, api
        self.person, self.product_ids = person, product_ids
        self.order_ids: list[str] = []
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
        if not self.order_ids:
            await self.place_order(0)
        return await self._get(f"/orders/{self.order_ids[0]}")

    async def place_order(self, _: int) -> bool:
        """Place an order of one to three products; keeps its id."""
        return bool(await self.placed())

    async def placed(self) -> str:
        """The id of an order of one to three products, now placed; empty if it was refused."""
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
        async with self._session.post(
            f"{self._api}/orders", json=body, headers={"Idempotency-Key": str(uuid.uuid4())}
        ) as answer:
            placed: dict[str, Any] = await answer.json(content_type=None)
            if answer.status != 201:
                return ""
            self.order_ids.append(placed["id"])
            return str(placed["id"])

    async def _get(self, path: str) -> bool:
        async with self._session.get(f"{self._api}{path}") as answer:
            await answer.read()
            return answer.status == 200


@contextlib.asynccontextmanager
async def prepared(cloud: LocalCloud) -> AsyncIterator[Target]:
    """A target with a registered client and products that do not run out."""
    api = f"{cloud.url('functions')}/api/v1"
    async with Shop(api=api, identity=cloud.url("identity")) as shop:
        person = await shop.sign_in("alice")
        await shop.register(person)
        products = await shop.products(person, limit=100)
    connection = await psycopg.AsyncConnection.connect(
        cloud.database_url("platform"), autocommit=True
    )
    async with connection:
        await connection.execute(PLENTY)
    ids = [product["id"] for product in products if product["available"] > 0]
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(headers=person.headers, timeout=timeout) as session:
        yield Target(session, api, person, ids)
