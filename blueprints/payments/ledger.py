"""What an answer of the gateway does to a payment: status, money, conversation and event."""

from datetime import timedelta
from uuid import UUID

from blueprints.payments import (
    accounts_repository,
    conversations_repository,
    keys,
    refunds_repository,
)
from blueprints.payments.models import Account, GatewayPayment, PendingRefund
from shared import outbox
from shared.db import Transaction

CONFIRMATION_FAILED = "confirmation_failed"
DECLINED = "card_declined"


async def settle_authorisation(
    tx: Transaction, account: Account, said: GatewayPayment, window: timedelta
) -> Account:
    """The payment after the gateway's word on it, which was not captured when `account` was read.

    Books nothing twice, and nothing that the payment has left behind: every move names the statuses
    that it may leave.
    """
    moved: Account | None = None
    match said.status:
        case "authorized" | "captured":
            moved = await accounts_repository.authorised(tx, account.id, said.id)
            if moved is not None:
                await announce(tx, account, "payment.authorised.v1")
            if said.status == "captured":
                moved = await settle_capture(tx, account, said)
        case "requires_action":
            await accounts_repository.requires_action(tx, account.id, said.id, window)
            await conversations_repository.answer_open(
                tx, account.id, ("authorize",), "requires_action", reference=said.id
            )
        case "declined":
            confirmed = account.status == "requires_action"
            code = CONFIRMATION_FAILED if confirmed else said.decline_code or DECLINED
            await fail(tx, account, code, said.id)
            await conversations_repository.answer_open(
                tx, account.id, ("authorize", "confirm"), "declined", reference=said.id, code=code
            )
        case "voided":
            await settle_void(tx, account, said)
    return moved or await current(tx, account)


async def fail(tx: Transaction, account: Account, code: str, gateway_id: str | None) -> None:
    """The payment will not come about; `code` says why."""
    if await accounts_repository.failed(tx, account.id, code, gateway_id):
        await announce(tx, account, "payment.declined.v1")


async def settle_capture(tx: Transaction, account: Account, said: GatewayPayment) -> Account:
    """The payment after its money has been taken."""
    moved = await accounts_repository.captured(tx, account.id, said.id, said.captured_amount)
    if moved is not None:
        await announce(tx, account, "payment.captured.v1")
    return moved or await current(tx, account)


async def current(tx: Transaction, account: Account) -> Account:
    """The payment as it is now, held until `tx` ends."""
    found = await accounts_repository.locked_by_id(tx, account.id)
    assert found is not None, "payments are never deleted"
    return found


async def settle_void(tx: Transaction, account: Account, said: GatewayPayment) -> None:
    """The held amount has been let go; a capture still on its way can only be refused now."""
    if await accounts_repository.voided(tx, account.id):
        await announce(tx, account, "payment.voided.v1")
    await conversations_repository.answer_open(
        tx, account.id, ("void",), "succeeded", reference=said.id
    )
    await conversations_repository.answer_open(
        tx, account.id, ("authorize", "confirm", "capture"), "refused", code="voided"
    )


async def settle_refund(tx: Transaction, refund: PendingRefund, gateway_id: str) -> None:
    """The money has gone back."""
    account = await accounts_repository.locked_by_id(tx, refund.payment_id)
    assert account is not None, "payments are never deleted"
    await conversations_repository.answer(
        tx, keys.refund(refund.order_id, refund.id), "succeeded", reference=gateway_id, code=None
    )
    if await refunds_repository.succeeded(tx, refund.id, gateway_id):
        await announce(tx, account, "payment.refunded.v1", refund_id=refund.id)


async def announce(
    tx: Transaction, account: Account, type_: str, *, refund_id: UUID | None = None
) -> None:
    """Tell the world. The order is the aggregate: its money and its moves are told in order."""
    data = {
        "order_id": str(account.order_id),
        "payment_id": str(account.id),
        "customer_id": str(account.customer_id),
    }
    if refund_id is not None:
        data["refund_id"] = str(refund_id)
    await outbox.append(
        tx, topic="payment-events", type_=type_, aggregate_id=account.order_id, data=dict(data)
    )
