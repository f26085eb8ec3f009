"""The payment slice on a real database, before a real gateway stand-in."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from blueprints.payments.answering import Answering
from blueprints.payments.authorising import Authorising
from blueprints.payments.capturing import Capturing
from blueprints.payments.gateway import PaymentGateway, TokenSource
from blueprints.payments.models import GatewayFault
from blueprints.payments.reconciling import Reconciling
from blueprints.payments.refunding import Refunding
from blueprints.payments.service import PaymentService
from shared.db import Database
from shared.resilience import Breaker
from tests.integration.payments.standins import EMPLOYEES, Standin, running
from tests.rig.secrets import known


@dataclass
class Order:
    """An order as the payment slice sees it."""

    payment_method: str = "tok_success"
    gross_total: int = 2_500
    currency: str = "EUR"
    status: str = "placed"
    cancel_requested: bool = False
    customer_id: UUID = field(default_factory=uuid4)
    lines: tuple[tuple[UUID, int], ...] = ()
    id: UUID = field(default_factory=uuid4)


@dataclass
class Book:
    """The orders that there are."""

    orders: dict[UUID, Order] = field(default_factory=dict)

    async def fulfilment(self, order_id: UUID) -> Order | None:
        return self.orders.get(order_id)

    def placed(self, payment_method: str = "tok_success", *, total: int = 2_500) -> Order:
        order = Order(payment_method, total)
        self.orders[order.id] = order
        return order


@dataclass
class Dispatched:
    """Notes whose events would be sent."""

    aggregates: list[UUID] = field(default_factory=list)

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        self.aggregates += aggregate_ids


@dataclass
class Till:
    """Everything that handles money, wired as in the function app."""

    database: Database
    gateway: PaymentGateway
    book: Book = field(default_factory=Book)
    dispatched: Dispatched = field(default_factory=Dispatched)

    def __post_init__(self) -> None:
        database, gateway = self.database, self.gateway
        self.payments = PaymentService(database)
        self.authorising = Authorising(database, self.book, gateway, window_s=900)
        self.capturing = Capturing(database, self.book, gateway)
        self.refunding = Refunding(database, gateway, self.authorising, self.dispatched)
        self.answering = Answering(database, gateway, self.dispatched)
        self.reconciling = Reconciling(
            database,
            self.book,
            gateway,
            authorising=self.authorising,
            refunding=self.refunding,
            answering=self.answering,
            after_s=0,
        )

    async def row(self, order: Order) -> dict[str, object]:
        """The order's payment: status and money."""
        names = "status", "authorized_amount", "captured_amount", "refunded_amount"
        async with self.database.reading() as tx:
            cursor = await tx.execute(
                "SELECT status, authorized_amount, captured_amount, refunded_amount"
                " FROM payments.payments WHERE order_id = %s",
                (order.id,),
            )
            row = await cursor.fetchone()
        assert row is not None
        return dict(zip(names, row, strict=True))

    async def conversations(self, order: Order) -> list[tuple[str, str]]:
        """Kind and outcome of every conversation about the order, oldest first."""
        async with self.database.reading() as tx:
            cursor = await tx.execute(
                "SELECT t.kind, t.outcome FROM payments.payment_transactions t"
                " JOIN payments.payments p ON p.id = t.payment_id"
                " WHERE p.order_id = %s ORDER BY t.sent_at, t.id",
                (order.id,),
            )
            return [(row[0], row[1]) for row in await cursor.fetchall()]

    async def events(self, order: Order) -> list[str]:
        """Types of the events about the order, oldest first."""
        async with self.database.reading() as tx:
            cursor = await tx.execute(
                "SELECT type FROM messaging.outbox WHERE aggregate_id = %s ORDER BY position",
                (order.id,),
            )
            return [row[0] for row in await cursor.fetchall()]


@pytest.fixture(scope="session")
def identity() -> Iterator[Standin]:
    with running("identity") as standin:
        yield standin


@pytest.fixture(scope="session")
def bank(identity: Standin) -> Iterator[Standin]:
    """The payment gateway."""
    with running("partners.payment", "--identity", identity.url) as standin:
        yield standin


@pytest.fixture(autouse=True)
def _undisturbed(bank: Standin) -> Iterator[None]:
    yield
    bank.reset()


SECRET = "local-payment-client-secret"


def tokens(identity: Standin, *, secret: str = SECRET) -> TokenSource:
    return TokenSource(
        f"{identity.url}/{EMPLOYEES}/oauth2/v2.0/token",
        client_id="payment-client",
        client_secret=known(secret),
        scope="api://payment-gateway/.default",
    )


@pytest.fixture(scope="module")
async def gateway(identity: Standin, bank: Standin) -> AsyncIterator[PaymentGateway]:
    opened = PaymentGateway(
        bank.url,
        tokens(identity),
        timeout_s=0.5,
        breaker=Breaker("the bank", fault=GatewayFault, faults=1000),
    )
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def till(database: Database, gateway: PaymentGateway) -> Till:
    return Till(database, gateway)
