"""What anyone may ask of payments that exist: clients of their own, employees of all."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from blueprints.payments import refunds_repository, repository
from blueprints.payments.models import HistoryEntry, Payment, PaymentQuery
from shared.auth import Caller
from shared.db import Database, Transaction
from shared.http import Page, decode_cursor, encode_cursor
from shared.problem import NotFound


class PaymentService:
    """Payments as callers see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, caller: Caller, payment_id: UUID) -> Payment:
        """The payment. Raises NotFound if there is none, or a client asks for another's."""
        async with self._database.reading() as tx:
            payment = await repository.by_id(tx, payment_id)
        if payment is None or (caller.is_client and payment.customer_id != caller.id):
            raise NotFound("there is no such payment")
        return payment

    async def list(self, caller: Caller, query: PaymentQuery) -> Page[Payment]:
        """Payments newest first; a client sees own payments only. Raises InvalidCursor."""
        before = None
        if query.cursor is not None:
            before = decode_cursor(query.cursor, at=_instant, id=UUID)
        filters = query.model_dump(exclude={"cursor", "limit"})
        filters["customer_id"] = caller.id if caller.is_client else None
        async with self._database.reading() as tx:
            found = await repository.listed(
                tx, filters=filters, before=before, limit=query.limit + 1
            )
        items, more = list(found[: query.limit]), len(found) > query.limit
        cursor = None
        if more:
            cursor = encode_cursor(at=items[-1].created_at.isoformat(), id=items[-1].id)
        return Page[Payment](items=items, next_cursor=cursor)

    async def history(self, order_id: UUID) -> Sequence[HistoryEntry]:
        """What happened to the order's payment, oldest first."""
        async with self._database.reading() as tx:
            return await repository.history(tx, order_id)

    async def refund_amount(self, refund_id: UUID) -> int | None:
        """How much a refund gives back, in minor units; None if there is no such refund."""
        async with self._database.reading() as tx:
            return await self.refund_amount_in(tx, refund_id)

    async def refund_amount_in(self, tx: Transaction, refund_id: UUID) -> int | None:
        """What `refund_amount` tells, for a caller who has a connection in hand."""
        return await refunds_repository.amount(tx, refund_id)


def _instant(text: str) -> datetime:
    """An instant as a cursor holds it. Raises ValueError for anything else."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant has an offset")
    return instant
