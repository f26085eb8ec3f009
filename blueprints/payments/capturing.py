"""The saga's step that takes an order's money."""

from uuid import UUID

from blueprints.payments import accounts_repository, conversations_repository, keys, ledger
from blueprints.payments.authorising import refusal
from blueprints.payments.models import (
    CAPTURED,
    Account,
    Gateway,
    GatewayFault,
    GatewayPayment,
    GatewayRefusal,
    OrderBook,
    StepResult,
)
from shared.db import Database


class Capturing:
    """The step may run twice, also at the same time, and the money is taken once."""

    def __init__(self, database: Database, orders: OrderBook, gateway: Gateway) -> None:
        self._database, self._orders, self._gateway = database, orders, gateway

    async def capture(self, order_id: UUID) -> StepResult:
        """Take all that is authorised for the order.

        Refusals: payment_voided, payment_<status>, the decline code of a failed payment,
        cancel_requested, order_<status>, order_unknown. Raises GatewayFault; try again.
        """
        if (code := refusal(await self._orders.fulfilment(order_id))) is not None:
            return {"refused": code}
        key = keys.capture(order_id)
        async with self._database.statement() as tx:
            account = await accounts_repository.ask_to_capture(tx, order_id, key)
        if account is None or account.status != "authorized":
            return _without_authorisation(account)
        said = await self._said(account, key)
        async with self._database.pipelined() as tx:
            if said.status == "captured":
                account = await ledger.settle_capture(tx, account, said)
            else:
                await ledger.settle_void(tx, account, said)
                account = await ledger.current(tx, account)
        return _without_authorisation(account)

    async def _said(self, account: Account, key: str) -> GatewayPayment:
        """The gateway's word on the payment after the capture."""
        assert account.gateway_id is not None, "it was authorised"
        try:
            return await self._gateway.capture(
                account.gateway_id, amount=account.authorized_amount, key=key
            )
        except GatewayRefusal as refused:
            said = await self._gateway.get(account.gateway_id)
            if said.status not in {"captured", "voided"}:
                raise GatewayFault(f"the gateway will not capture: {refused.code}") from refused
            return said
        except GatewayFault:
            async with self._database.transaction() as tx:
                await conversations_repository.unanswered(tx, key)
            raise


def _without_authorisation(account: Account | None) -> StepResult:
    """The answer about a payment from which there is nothing to take (any more)."""
    if account is None:
        return {"refused": "payment_missing"}
    if account.status in CAPTURED:
        return {}
    if account.status == "failed":
        return {"refused": account.decline_code}
    return {"refused": f"payment_{account.status}"}
