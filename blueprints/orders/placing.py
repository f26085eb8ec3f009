"""Taking an order: who may, what it costs, and one transaction that writes it down."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

from uuid_utils.compat import uuid7

from blueprints.orders import repository
from blueprints.orders.models import (
    MAX_QUANTITY,
    CardNumberRefused,
    CountryNotServed,
    CurrencyNotSold,
    CustomerInactive,
    CustomerUnregistered,
    Order,
    OrderLine,
    PlaceOrder,
    Shipping,
    UnknownProduct,
    WantedLine,
)
from blueprints.orders.pricing import Offer, Quote, price
from shared import idempotency, outbox
from shared.auth import Caller
from shared.db import Database, Pending, Transaction
from shared.idempotency import IdempotencyKey
from shared.problem import InvalidRequest, Problem

DELIVERED_TO = frozenset("AT BE DE DK ES FR GB IE IT LU NL PT SE".split())  # noqa: SIM905 - a column of 13
"""Countries that we sell to: those with tax rates in the catalogue."""

_TOKEN = re.compile(r"tok_[a-z0-9_]{3,64}")
_CARD_NUMBER = re.compile(r"(?:\d[ .-]?){12,18}\d")


class Catalogue(Protocol):
    """Prices of the products on sale."""

    async def ask_quote(
        self, tx: Transaction, product_ids: Collection[UUID], country: str
    ) -> Pending[Mapping[UUID, Offer]]:
        """The offer for each product on sale, taxed for `country`; others are absent."""
        ...


class Customers(Protocol):
    """Who is a customer."""

    async def ask_standing(self, tx: Transaction, customer_id: UUID) -> Pending[str]:
        """`active`, `inactive` or `unknown`."""
        ...


class Dispatcher(Protocol):
    """Sends events that have been committed."""

    async def dispatch(self, *aggregate_ids: UUID) -> None:
        """Send what waits for these aggregates. Never raises."""
        ...


class OnBehalf(Protocol):
    """Keeps on record what is done in a customer's name."""

    async def ordered(
        self, tx: Transaction, *, employee_id: UUID, customer_id: UUID, order_id: UUID, reason: str
    ) -> None:
        """Record it in this transaction, which commits soon."""
        ...


class Placing:
    """Orders come in here. `currency` is the one that all orders are in."""

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        customers: Customers,
        dispatcher: Dispatcher,
        on_behalf: OnBehalf,
        *,
        currency: str,
    ) -> None:
        self._database, self._catalogue, self._customers = database, catalogue, customers
        self._dispatcher, self._on_behalf, self._currency = dispatcher, on_behalf, currency

    async def place(self, caller: Caller, request: PlaceOrder, key: IdempotencyKey) -> Order:
        """Price the lines and record the order with its event, all or nothing.

        Repeating `key` returns the order as first answered, whatever has been sold out, renamed or
        deactivated since, and emits nothing. Raises CardNumberRefused, CountryNotServed,
        CustomerUnregistered, CustomerInactive, UnknownProduct or CurrencyNotSold, naming each
        product; InvalidRequest for what the model cannot see; IdempotencyKeyReused.
        """
        try:
            customer_id = _customer(caller, request)
            quote = await self._quote(customer_id, request)
        except Problem:
            if (first := await self._first_answer(key)) is not None:
                return first
            raise
        new = repository.NewOrder(
            id=uuid7(),
            customer_id=customer_id,
            placed_by=caller.id,
            on_behalf_reason=request.reason,
            currency=self._currency,
            address=request.shipping_address,
            service=request.shipping_service,
            payment_method=request.payment_method,
            quote=quote,
        )
        try:
            order = await self._recorded(new, key)
        except idempotency.Taken:
            first = await self._first_answer(key)
            assert first is not None, "keys are pruned days after their request"
            return first
        await self._dispatcher.dispatch(order.id)
        return order

    async def _recorded(self, new: repository.NewOrder, key: IdempotencyKey) -> Order:
        """The order, written down with its event under `key`. Raises idempotency.Taken.

        One round trip: nothing that is written depends on an answer. What an employee orders for a
        customer is on record as such, or is not ordered.
        """
        with idempotency.unless_taken():
            async with self._database.pipelined() as tx:
                await idempotency.take(tx, key, json.dumps({"order_id": str(new.id)}))
                placed = await repository.insert(tx, new)
                await _announce(tx, new)
                if new.on_behalf_reason is not None:
                    # Last: from here to the commit everybody else waits for the trail.
                    await self._on_behalf.ordered(
                        tx,
                        employee_id=new.placed_by,
                        customer_id=new.customer_id,
                        order_id=new.id,
                        reason=new.on_behalf_reason,
                    )
            return _order(new, *await placed())

    async def _quote(self, customer_id: UUID, request: PlaceOrder) -> Quote:
        _check_payment_method(request.payment_method)
        wanted = summed(request.lines)
        country = request.shipping_address.country
        check_country(country)
        async with self._database.reading(pipelined=True) as tx:
            asked_standing = await self._customers.ask_standing(tx, customer_id)
            asked_offers = await self._catalogue.ask_quote(tx, wanted.keys(), country)
            standing, offers = await asked_standing(), await asked_offers()
        if standing == "unknown":
            raise CustomerUnregistered("the customer has to register before ordering")
        if standing != "active":
            raise CustomerInactive("this customer's account does not take orders")
        if unsold := [product_id for product_id in wanted if product_id not in offers]:
            raise UnknownProduct("some products are not on sale", unsold)
        if foreign := [p for p in wanted if offers[p].currency != self._currency]:
            raise CurrencyNotSold(f"orders are in {self._currency}", foreign)
        return price(
            [(offers[product_id], quantity) for product_id, quantity in wanted.items()],
            request.shipping_service,
        )

    async def _first_answer(self, key: IdempotencyKey) -> Order | None:
        """What `key` was answered before; None leaves no trace of it."""
        async with self._database.transaction() as tx:
            stored = await idempotency.replay(tx, key)
            if stored is not None:
                return await _as_first_answered(tx, stored)
            await tx.rollback()
        return None


def _customer(caller: Caller, request: PlaceOrder) -> UUID:
    """Whose order it is. Raises InvalidRequest when on-behalf facts and caller do not match."""
    given = {"customer_id": request.customer_id, "reason": request.reason}
    if caller.is_employee:
        if missing := [name for name, value in given.items() if value is None]:
            raise InvalidRequest(
                "an order on behalf of a customer names the customer and the reason",
                [{"field": name, "message": "required of employees"} for name in missing],
            )
        assert request.customer_id is not None
        return request.customer_id
    if surplus := [name for name, value in given.items() if value is not None]:
        raise InvalidRequest(
            "clients order for themselves",
            [{"field": name, "message": "for employees only"} for name in surplus],
        )
    return caller.id


def _check_payment_method(payment_method: str) -> None:
    if _CARD_NUMBER.search(payment_method):
        raise CardNumberRefused("payment_method takes the gateway's token, never a card number")
    if not _TOKEN.fullmatch(payment_method):
        raise InvalidRequest(
            "the payment method is not a token of the gateway",
            [{"field": "payment_method", "message": "must look like tok_…"}],
        )


def check_country(country: str) -> None:
    """Raises CountryNotServed unless we sell there."""
    if country not in DELIVERED_TO:
        raise CountryNotServed(f"orders are not delivered to {country}")


def summed(lines: Iterable[WantedLine]) -> dict[UUID, int]:
    """Quantity per product, in the order of first mention. Raises InvalidRequest if too many."""
    wanted: dict[UUID, int] = {}
    for line in lines:
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    if any(quantity > MAX_QUANTITY for quantity in wanted.values()):
        raise InvalidRequest(
            "too many of one product",
            [
                {
                    "field": "lines",
                    "message": f"at most {MAX_QUANTITY} of a product, all lines summed",
                }
            ],
        )
    return wanted


async def _as_first_answered(tx: Transaction, stored: str) -> Order:
    """The order as it was when it was placed.

    Only its id is kept with the key: the address must not outlive the order in another table, and
    what has moved since is known.
    """
    order = await repository.by_id(tx, UUID(json.loads(stored)["order_id"]))
    assert order is not None, "orders are anonymised, never deleted"
    return order.model_copy(
        update={
            "status": "placed",
            "version": 1,
            "updated_at": order.placed_at,
            "shipping": order.shipping.model_copy(update={"tracking_number": None}),
            "cancel_reason": None,
            "cancel_cause": None,
            "cancel_requested_at": None,
            "cancelled_at": None,
        }
    )


async def _announce(tx: Transaction, order: repository.NewOrder) -> None:
    await outbox.append(
        tx,
        topic="order-events",
        type_="order.placed.v1",
        aggregate_id=order.id,
        data={"order_id": str(order.id), "customer_id": str(order.customer_id)},
    )


def _order(new: repository.NewOrder, number: str, placed_at: datetime) -> Order:
    """The order as it reads now that it is written."""
    quote = new.quote
    return Order(
        id=new.id,
        number=number,
        customer_id=new.customer_id,
        status="placed",
        version=1,
        currency=new.currency,
        lines=[
            OrderLine(
                product_id=line.offer.product_id,
                sku=line.offer.sku,
                name=line.offer.name,
                quantity=line.quantity,
                unit_net=line.offer.net_price,
                tax_rate_bp=line.offer.tax_rate_bp,
                net=line.net,
                tax=line.tax,
                gross=line.gross,
            )
            for line in quote.lines
        ],
        shipping=Shipping(
            service=new.service,
            address=new.address,
            net=quote.shipping_net,
            tax_rate_bp=quote.shipping_tax_rate_bp,
            tax=quote.shipping_tax,
            gross=quote.shipping_net + quote.shipping_tax,
        ),
        net_total=quote.net_total,
        tax_total=quote.tax_total,
        gross_total=quote.gross_total,
        placed_on_behalf=new.on_behalf_reason is not None,
        cancel_reason=None,
        cancel_cause=None,
        cancel_requested_at=None,
        cancelled_at=None,
        placed_at=placed_at,
        updated_at=placed_at,
    )
