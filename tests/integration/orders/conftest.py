"""The order slice on a real database, its neighbours played by fakes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

import pytest

from blueprints.orders.book import OrderBook
from blueprints.orders.cancelling import Cancelling
from blueprints.orders.fulfilment import Fulfilment
from blueprints.orders.models import Address, Order, PlaceOrder, WantedLine
from blueprints.orders.placing import Placing
from blueprints.orders.service import OrderService
from blueprints.orders.timeline import OrderTimeline
from shared.auth import CUSTOMER_SERVICE, Caller
from shared.db import Database, Pending, Transaction
from shared.idempotency import IdempotencyKey
from shared.replica import ReadSide
from tests.integration.payments.standins import API_KEY, Standin, running

BERLIN = Address(
    name="Alice Example", line1="Lindenallee 5", city="Berlin", postal_code="10115", country="DE"
)
CARLA = Caller("employee", uuid4(), frozenset({CUSTOMER_SERVICE}))


@dataclass(frozen=True)
class Product:
    """A product on sale."""

    sku: str
    name: str
    net_price: int
    tax_rate_bp: int = 1_900
    currency: str = "EUR"
    tax_class: str = "standard"
    weight_g: int = 250
    product_id: UUID = field(default_factory=uuid4)


TEA = Product("TEA-ASSAM-250", "Assam Second Flush", 1_299, 700)
POT = Product("POT-IRON-08", "Cast Iron Teapot", 4_995)
DOLLARS = Product("MUG-US-01", "Diner Mug", 995, currency="USD")


@dataclass
class Catalogue:
    """What is on sale."""

    products: dict[UUID, Product] = field(
        default_factory=lambda: {p.product_id: p for p in (TEA, POT, DOLLARS)}
    )

    async def ask_quote(
        self, tx: Transaction, product_ids: Collection[UUID], country: str
    ) -> Pending[Mapping[UUID, Product]]:
        del tx, country

        async def offers() -> Mapping[UUID, Product]:
            return {p: self.products[p] for p in product_ids if p in self.products}

        return offers


@dataclass
class Customers:
    """Everybody is an active customer, except who is not."""

    standings: dict[UUID, str] = field(default_factory=dict)

    async def ask_standing(self, tx: Transaction, customer_id: UUID) -> Pending[str]:
        del tx

        async def standing() -> str:
            return self.standings.get(customer_id, "active")

        return standing


@dataclass(frozen=True)
class Happened:
    """Something that happened to stock."""

    at: datetime
    kind: str


@dataclass
class Stock:
    """A warehouse that never runs out."""

    expired: set[UUID] = field(default_factory=set)
    committed: list[UUID] = field(default_factory=list)
    fulfilled: list[UUID] = field(default_factory=list)
    broken: bool = False

    async def commit(self, order_id: UUID) -> bool:
        self.committed.append(order_id)
        return order_id not in self.expired

    async def fulfil(self, order_id: UUID) -> None:
        if self.broken:
            raise RuntimeError("no warehouse today")
        self.fulfilled.append(order_id)

    async def stock_history(self, order_id: UUID) -> Sequence[Happened]:
        del order_id
        return []


@dataclass(frozen=True)
class Paid:
    """Something that happened to a payment."""

    at: datetime
    kind: str
    amount: int | None
    detail: str | None
    public: bool


@dataclass
class Payments:
    """What the payment service tells."""

    told: list[Paid] = field(default_factory=list)

    async def history(self, order_id: UUID) -> Sequence[Paid]:
        del order_id
        return self.told


@dataclass(frozen=True)
class Told:
    """Something that a customer was told."""

    at: datetime
    type: str
    channel: str
    status: str


@dataclass
class Messages:
    """What the notifications tell."""

    told: list[Told] = field(default_factory=list)

    async def history(self, order_id: UUID) -> Sequence[Told]:
        del order_id
        return self.told


@dataclass
class Dispatched:
    """Notes whose events would be sent."""

    aggregates: list[UUID] = field(default_factory=list)

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        self.aggregates += aggregate_ids


@dataclass
class OnBehalf:
    """Notes what was done in whose name; refuses to while `broken`."""

    entries: list[tuple[UUID, UUID, UUID, str]] = field(default_factory=list)
    broken: bool = False

    async def ordered(
        self, tx: Transaction, *, employee_id: UUID, customer_id: UUID, order_id: UUID, reason: str
    ) -> None:
        del tx
        if self.broken:
            raise OSError("the trail is away")
        self.entries.append((employee_id, customer_id, order_id, reason))


@dataclass
class Shop:
    """Everything about orders, wired as in the function app."""

    database: Database
    catalogue: Catalogue = field(default_factory=Catalogue)
    customers: Customers = field(default_factory=Customers)
    stock: Stock = field(default_factory=Stock)
    payments: Payments = field(default_factory=Payments)
    messages: Messages = field(default_factory=Messages)
    dispatched: Dispatched = field(default_factory=Dispatched)
    on_behalf: OnBehalf = field(default_factory=OnBehalf)

    def __post_init__(self) -> None:
        database, dispatched = self.database, self.dispatched
        self.book = OrderBook(database)
        self.placing = Placing(
            database, self.catalogue, self.customers, dispatched, self.on_behalf, currency="EUR"
        )
        self.orders = OrderService(database, self.stock, dispatched, ReadSide(database))
        self.cancelling = Cancelling(database, dispatched)
        self.fulfilment = Fulfilment(database, self.stock, dispatched)
        self.timeline = OrderTimeline(database, self.stock, self.payments, self.messages)

    async def place(
        self, caller: Caller | None = None, *, key: str | None = None, **changes: object
    ) -> Order:
        """An order of two teas and a pot by a new customer, but for `changes`."""
        who = caller or client()
        request = wanted(**changes)
        fingerprint = request.model_dump_json()
        named = IdempotencyKey(who.id, "place_order", key or str(uuid4()), fingerprint)
        return await self.placing.place(who, request, named)

    async def moved(self, order: Order, *statuses: str) -> None:
        """Put the order where a test needs it, as somebody long ago."""
        async with self.database.transaction() as tx:
            for status in statuses:
                await tx.execute(
                    "UPDATE orders.orders SET status = %s, version = version + 1 WHERE id = %s",
                    (status, order.id),
                )

    async def status(self, order: Order) -> str:
        async with self.database.reading() as tx:
            cursor = await tx.execute("SELECT status FROM orders.orders WHERE id = %s", (order.id,))
            row = await cursor.fetchone()
        assert row is not None
        return str(row[0])

    async def events(self, order: Order) -> list[str]:
        """Types of the events about the order, oldest first."""
        async with self.database.reading() as tx:
            cursor = await tx.execute(
                "SELECT type FROM messaging.outbox WHERE aggregate_id = %s ORDER BY position",
                (order.id,),
            )
            return [row[0] for row in await cursor.fetchall()]

    async def moves(self, order: Order) -> list[tuple[str | None, str, str, str | None]]:
        """The order's history: from, to, who, why."""
        async with self.database.reading() as tx:
            cursor = await tx.execute(
                "SELECT from_status, to_status, actor_kind, reason"
                " FROM orders.order_status_history WHERE order_id = %s ORDER BY id",
                (order.id,),
            )
            return [tuple(row) for row in await cursor.fetchall()]

    async def rows(self) -> dict[str, int]:
        """How many rows each table holds that an order could touch."""
        async with self.database.reading() as tx:
            cursor = await tx.execute(
                "SELECT (SELECT count(*) FROM orders.orders),"
                " (SELECT count(*) FROM orders.order_items),"
                " (SELECT count(*) FROM orders.order_status_history),"
                " (SELECT count(*) FROM messaging.outbox),"
                " (SELECT count(*) FROM messaging.idempotency_keys)"
            )
            row = await cursor.fetchone()
        assert row is not None
        return dict(zip(("orders", "items", "history", "outbox", "keys"), row, strict=True))


def client() -> Caller:
    """A customer whom nobody has seen before."""
    return Caller("client", uuid4())


def wanted(**changes: object) -> PlaceOrder:
    """Two teas and a pot to Berlin, but for `changes`."""
    facts: dict[str, object] = {
        "lines": [
            WantedLine(product_id=TEA.product_id, quantity=2),
            WantedLine(product_id=POT.product_id, quantity=1),
        ],
        "shipping_address": BERLIN,
        "shipping_service": "standard",
        "payment_method": "tok_success",
    }
    return PlaceOrder.model_validate(facts | changes)


@pytest.fixture(scope="module")
def shop(database: Database) -> Shop:
    return Shop(database)


@pytest.fixture(scope="session")
def carrier() -> Iterator[Standin]:
    """The shipping provider."""
    with running("partners.shipping", "--api-key", API_KEY) as standin:
        yield standin


@pytest.fixture
def undisturbed(carrier: Standin) -> Iterator[None]:
    yield
    carrier.reset()
