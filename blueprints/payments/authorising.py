"""The saga's steps that hold an order's money and let it go again."""

from datetime import timedelta
from math import ceil
from uuid import UUID

from blueprints.payments import accounts_repository, conversations_repository, keys, ledger
from blueprints.payments.models import (
    CAPTURED,
    Account,
    Fulfilment,
    Gateway,
    GatewayFault,
    GatewayPayment,
    GatewayRefusal,
    OrderBook,
    StepResult,
)
from shared.db import Database, Transaction


class Authorising:
    """Each step may run twice, also at the same time, and still happens once.

    `sent` is written before the gateway is asked and the outcome after it. An answer that got
    lost is asked for again under the same key: the gateway then waits for the call that may still
    be on its way, where a look-up would miss it.
    """

    def __init__(
        self, database: Database, orders: OrderBook, gateway: Gateway, *, window_s: float
    ) -> None:
        self._database, self._orders, self._gateway = database, orders, gateway
        self._window = timedelta(seconds=window_s)

    async def authorise(self, order_id: UUID) -> StepResult:
        """Hold the order's total; also tells, when repeated, whether the customer has confirmed.

        {"pending": "confirmation", "window_s"} while the customer has to. Refusals: the gateway's
        decline code, confirmation_failed, payment_voided, cancel_requested, order_<status>,
        order_unknown. Raises GatewayFault; try again.
        """
        order = await self._orders.fulfilment(order_id)
        if (code := refusal(order)) is not None:
            return {"refused": code}
        assert order is not None, "an unknown order is refused"
        account = await self._asked(order_id, order)
        account = await self.resolved(account)
        return await self._answer(account)

    async def resolved(self, account: Account) -> Account:
        """The payment once the gateway has said what became of its authorisation.

        Raises GatewayFault; the payment is `unknown` then, if it was not known before.
        """
        key = keys.authorise(account.order_id)
        if account.status == "requires_action":
            assert account.gateway_id is not None, "it waits at the gateway"
            said = await self._gateway.get(account.gateway_id)
        elif account.status in {"pending", "unknown"}:
            try:
                said = await self._gateway.authorise(
                    reference=str(account.order_id),
                    amount=account.amount,
                    currency=account.currency,
                    payment_method=account.payment_method,
                    key=key,
                )
            except GatewayRefusal as refused:
                return await self._refused(account, key, refused.code)
            except GatewayFault:
                async with self._database.transaction() as tx:
                    await accounts_repository.unknown(tx, account.id)
                    await conversations_repository.unanswered(tx, key)
                raise
        else:
            return account
        return await self._booked(account, said)

    async def void(self, order_id: UUID) -> StepResult:
        """Let the money go that is held for the order; done at once if none is, or if it was taken.

        Raises GatewayFault; try again.
        """
        order = await self._orders.fulfilment(order_id)
        if order is None:
            return {}
        async with self._database.transaction() as tx:
            # A payment that nobody has asked for is made and voided: a straggling authorise_payment
            # finds it and stops.
            account = await self._opened(tx, order_id, order)
            asked = account.gateway_id is not None or await conversations_repository.has_open(
                tx, account.id, "authorize"
            )
            if not asked:
                await accounts_repository.voided(tx, account.id)
                return {}
        if account.status in {"pending", "unknown"}:
            account = await self.resolved(account)
        if account.status in {"requires_action", "authorized"}:
            await self.let_go(account)
        return {}

    async def let_go(self, account: Account) -> Account:
        """The payment after voiding it; `captured` if a capture was faster. Raises GatewayFault."""
        assert account.gateway_id is not None, "it was authorised"
        key = keys.void(account.order_id)
        async with self._database.transaction() as tx:
            await conversations_repository.send(tx, account.id, "void", key, account.amount)
        try:
            said = await self._gateway.void(account.gateway_id, key=key)
        except GatewayRefusal as refused:
            said = await self._gateway.get(account.gateway_id)
            if said.status in {"requires_action", "authorized"}:
                raise GatewayFault(f"the gateway will not void: {refused.code}") from refused
            async with self._database.transaction() as tx:
                await conversations_repository.answer(tx, key, "refused", code=refused.code)
        except GatewayFault:
            async with self._database.transaction() as tx:
                await conversations_repository.unanswered(tx, key)
            raise
        return await self._booked(account, said)

    async def _asked(self, order_id: UUID, order: Fulfilment) -> Account:
        """The order's payment, with the question about it written down if it is open."""
        key = keys.authorise(order_id)
        async with self._database.statement() as tx:
            new = await accounts_repository.open_and_ask(tx, order_id, order, key)
        if new is not None:
            return new
        async with self._database.transaction() as tx:
            account = await self._opened(tx, order_id, order)
            if account.status in {"pending", "unknown"}:
                await conversations_repository.send(
                    tx, account.id, "authorize", key, account.amount
                )
        return account

    async def _opened(self, tx: Transaction, order_id: UUID, order: Fulfilment) -> Account:
        await accounts_repository.open_account(tx, order_id, order)
        account = await accounts_repository.locked(tx, order_id)
        assert account is not None, "payments are never deleted"
        return account

    async def _booked(self, account: Account, said: GatewayPayment) -> Account:
        async with self._database.pipelined() as tx:
            return await ledger.settle_authorisation(tx, account, said, self._window)

    async def _refused(self, account: Account, key: str, code: str) -> Account:
        async with self._database.transaction() as tx:
            await ledger.fail(tx, account, code, None)
            await conversations_repository.answer(tx, key, "refused", code=code)
            return await ledger.current(tx, account)

    async def _answer(self, account: Account) -> StepResult:
        if account.status == "authorized" or account.status in CAPTURED:
            return {}
        if account.status == "failed":
            return {"refused": account.decline_code}
        if account.status == "voided":
            return {"refused": "payment_voided"}
        assert account.status == "requires_action", account.status
        assert account.confirm_until is not None, "a CHECK says so"
        async with self._database.reading() as tx:
            left = account.confirm_until - await accounts_repository.now(tx)
        return {"pending": "confirmation", "window_s": max(1, ceil(left.total_seconds()))}


def refusal(order: Fulfilment | None) -> str | None:
    """Why no step forward may be taken for the order; None if one may."""
    if order is None:
        return "order_unknown"
    if order.cancel_requested:
        return "cancel_requested"
    if order.status != "placed":
        return f"order_{order.status}"
    return None
