"""The customer's answer to a payment that waits for one."""

import json
from datetime import timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from blueprints.payments import (
    accounts_repository,
    conversations_repository,
    keys,
    ledger,
    repository,
)
from blueprints.payments.models import (
    Account,
    AnswerConfirmation,
    ConfirmationNotPending,
    Dispatcher,
    Gateway,
    GatewayFault,
    GatewayPayment,
    GatewayRefusal,
    Payment,
)
from shared import idempotency
from shared.auth import Caller
from shared.db import Database
from shared.idempotency import IdempotencyKey
from shared.problem import NotFound, PartnerUnavailable


class Answering:
    """Codes go to the gateway at once; the saga is told that there is something to look at."""

    def __init__(self, database: Database, gateway: Gateway, dispatcher: Dispatcher) -> None:
        self._database, self._gateway, self._dispatcher = database, gateway, dispatcher

    async def answer(
        self, caller: Caller, request: AnswerConfirmation, key: IdempotencyKey
    ) -> Payment:
        """The payment after the customer's code: authorized, or failed for good.

        Repeating `key` sends no code and returns the payment as it is by then. Raises NotFound
        (also for another's order), ConfirmationNotPending, IdempotencyKeyReused,
        PartnerUnavailable when the gateway did not answer: then the saga finds out, and a new
        answer may be given.
        """
        async with self._database.transaction() as tx:
            stored = await idempotency.replay(tx, key)
            account = None
            if stored is None:
                account = await accounts_repository.locked(tx, request.order_id)
                if account is None or account.customer_id != caller.id:
                    raise NotFound("there is no such payment")
                if account.status != "requires_action":
                    raise ConfirmationNotPending(f"the payment is {account.status}")
                stored = json.dumps({"payment_id": str(account.id)})
                attempt = keys.confirm(account.order_id, uuid7())
                await conversations_repository.send(
                    tx, account.id, "confirm", attempt, account.amount
                )
                await idempotency.remember(tx, key, stored)
        if account is not None:
            await self._ask(account, request.code, attempt)
        async with self._database.reading() as tx:
            payment = await repository.by_id(tx, UUID(json.loads(stored)["payment_id"]))
        assert payment is not None, "payments are never deleted"
        return payment

    async def book(self, account: Account, said: GatewayPayment) -> None:
        """Book what became of an answer and wake the saga."""
        async with self._database.transaction() as tx:
            await ledger.settle_authorisation(tx, account, said, timedelta())
            await ledger.announce(tx, account, "payment.answered.v1")
        await self._dispatcher.dispatch(account.order_id)

    async def _ask(self, account: Account, code: str, attempt: str) -> None:
        assert account.gateway_id is not None, "it waits at the gateway"
        try:
            said = await self._gateway.confirm(account.gateway_id, code=code, key=attempt)
        except GatewayRefusal as refused:
            async with self._database.transaction() as tx:
                await conversations_repository.answer(tx, attempt, "refused", code=refused.code)
            said = await self._gateway.get(account.gateway_id)
        except GatewayFault as fault:
            async with self._database.transaction() as tx:
                await conversations_repository.unanswered(tx, attempt)
                await ledger.announce(tx, account, "payment.answered.v1")
            await self._dispatcher.dispatch(account.order_id)
            raise PartnerUnavailable(
                "the payment gateway did not answer; look at the payment, then answer again"
            ) from fault
        await self.book(account, said)
