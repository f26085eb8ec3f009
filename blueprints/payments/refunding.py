"""Money back: what employees ask for, and the saga's undo of a capture."""

import json
from typing import Protocol
from uuid import UUID

from blueprints.payments import (
    accounts_repository,
    conversations_repository,
    keys,
    ledger,
    refunds_repository,
    repository,
)
from blueprints.payments.models import (
    Account,
    Dispatcher,
    Gateway,
    GatewayFault,
    GatewayRefusal,
    NotRefundable,
    PendingRefund,
    Refund,
    RefundPayment,
    RefundTooLarge,
    StepResult,
)
from shared import idempotency, telemetry
from shared.auth import Caller
from shared.db import Database, Transaction
from shared.idempotency import IdempotencyKey
from shared.problem import NotFound

CANCELLED = "the order was cancelled"

_log = telemetry.logger(__name__)


class Authorisations(Protocol):
    """Money that is held and not taken yet."""

    async def let_go(self, account: Account) -> Account:
        """The payment after voiding it; `captured` if a capture was faster."""
        ...


class Refunding:
    """Refunds of captured money; their sum never exceeds it, whoever asks at the same time.

    The money is set aside before the gateway is asked and booked after it answered. A refund
    without an answer stays `pending`: it counts as given until the gateway says otherwise.
    """

    def __init__(
        self,
        database: Database,
        gateway: Gateway,
        authorisations: Authorisations,
        dispatcher: Dispatcher,
    ) -> None:
        self._database, self._gateway = database, gateway
        self._authorisations, self._dispatcher = authorisations, dispatcher

    async def refund(
        self, caller: Caller, payment_id: UUID, request: RefundPayment, key: IdempotencyKey
    ) -> Refund:
        """Give back a part or all that is left; `pending` if the gateway did not answer.

        Repeating `key` returns the same refund as it is by then. Raises NotFound, NotRefundable,
        RefundTooLarge naming what is left, IdempotencyKeyReused.
        """
        async with self._database.transaction() as tx:
            stored = await idempotency.replay(tx, key)
            pending = None
            if stored is None:
                pending = await self._set_aside(tx, caller, payment_id, request)
                stored = json.dumps({"refund_id": str(pending.id)})
                await idempotency.remember(tx, key, stored)
        if pending is not None:
            try:
                await self.settle(pending)
            except GatewayFault as fault:
                _log.warning("refund without an answer refund_id=%s: %s", pending.id, fault)
        async with self._database.reading() as tx:
            refund = await repository.refund_by_id(tx, UUID(json.loads(stored)["refund_id"]))
        assert refund is not None, "refunds are never deleted"
        return refund

    async def refund_for_order(self, order_id: UUID) -> StepResult:
        """Give back all that was taken for the order; done at once if nothing was.

        Money that is held and seems not to be taken is let go here already: a capture may be on its
        way, even one that we do not know of yet. Either the void is first and nothing can be taken
        any more, or the capture was and is refunded. Raises GatewayFault, also when the gateway
        will not refund; try again.
        """
        async with self._database.transaction() as tx:
            account = await accounts_repository.locked(tx, order_id)
        if account is None:
            return {}
        if account.status == "authorized":
            account = await self._authorisations.let_go(account)
        while (refund := await self._next(account.id)) is not None:
            if not await self.settle(refund):
                raise GatewayFault("the gateway will not refund")
        return {}

    async def settle(self, refund: PendingRefund) -> bool:
        """Ask the gateway for the refund, as often as it takes; False if it refuses for good.

        Raises GatewayFault; the refund stays pending.
        """
        key = keys.refund(refund.order_id, refund.id)
        try:
            gateway_id = await self._gateway.refund(
                refund.gateway_payment_id, amount=refund.amount, key=key
            )
        except GatewayRefusal as refused:
            async with self._database.transaction() as tx:
                await accounts_repository.locked_by_id(tx, refund.payment_id)
                await conversations_repository.answer(tx, key, "refused", code=refused.code)
                await refunds_repository.failed(tx, refund.id)
            _log.error("refund refused refund_id=%s code=%s", refund.id, refused.code)
            return False
        except GatewayFault:
            async with self._database.transaction() as tx:
                await conversations_repository.unanswered(tx, key)
            raise
        async with self._database.transaction() as tx:
            await ledger.settle_refund(tx, refund, gateway_id)
        await self._dispatcher.dispatch(refund.order_id)
        return True

    async def _set_aside(
        self, tx: Transaction, caller: Caller, payment_id: UUID, request: RefundPayment
    ) -> PendingRefund:
        account = await accounts_repository.locked_by_id(tx, payment_id)
        if account is None:
            raise NotFound("there is no such payment")
        if account.refundable == 0:
            raise NotRefundable(f"nothing of a payment that is {account.status} can be given back")
        amount = request.amount if request.amount is not None else account.refundable
        pending = await self._requested(tx, account, amount, request.reason, caller.id)
        if pending is None:
            raise RefundTooLarge("more than what is left", account.refundable)
        return pending

    async def _next(self, payment_id: UUID) -> PendingRefund | None:
        """A refund to settle before nothing is left of the payment; None at the end."""
        async with self._database.transaction() as tx:
            account = await accounts_repository.locked_by_id(tx, payment_id)
            assert account is not None, "payments are never deleted"
            pending = await refunds_repository.pending_of(tx, payment_id)
            if pending is None and account.refundable > 0:
                pending = await self._requested(tx, account, account.refundable, CANCELLED, None)
        return pending

    @staticmethod
    async def _requested(
        tx: Transaction, account: Account, amount: int, reason: str, by: UUID | None
    ) -> PendingRefund | None:
        refund = await refunds_repository.request(
            tx, account.id, amount=amount, reason=reason, requested_by=by
        )
        if refund is not None:
            key = keys.refund(account.order_id, refund.id)
            await conversations_repository.send(
                tx, account.id, "refund", key, amount, refund_id=refund.id
            )
        return refund
