"""HTTP of payments: the saga moves the money, people look, confirm and refund."""

import azure.functions as func

from blueprints.payments.answering import Answering
from blueprints.payments.models import (
    AnswerConfirmation,
    ConfirmationNotPending,
    NotRefundable,
    Payment,
    PaymentNotice,
    PaymentQuery,
    Refund,
    RefundPayment,
    RefundTooLarge,
)
from blueprints.payments.reconciling import Reconciling
from blueprints.payments.refunding import Refunding
from blueprints.payments.service import PaymentService
from shared.auth import ADMIN, EMPLOYEES, ORDER_MANAGER, PARTNER, access
from shared.http import Api, Call, Page, Reply, etag_of
from shared.problem import IdempotencyKeyReused, InvalidCursor, NotFound, PartnerUnavailable
from shared.webhooks import Signatures

SCOPE = "payments.readwrite"
PAYERS = access(clients=SCOPE)
READERS = access(clients=SCOPE, employees=EMPLOYEES)
REFUNDERS = access(employees=(ORDER_MANAGER, ADMIN))


def blueprint(
    api: Api, payments: PaymentService, answering: Answering, refunding: Refunding
) -> func.Blueprint:
    """The HTTP functions of payments."""
    bp = func.Blueprint()

    @bp.route(route="v1/payments", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=PAYERS,
        body=AnswerConfirmation,
        returns=Payment,
        idempotency_key=True,
        raises=(NotFound, ConfirmationNotPending, IdempotencyKeyReused, PartnerUnavailable),
        etag=True,
    )
    async def answer_confirmation(call: Call[AnswerConfirmation, None]) -> Reply[Payment]:
        """Confirm a payment that waits for you.

        A wrong code fails the payment for good, and with it the order.
        """
        payment = await answering.answer(call.caller, call.body, call.idempotency)
        return Reply(payment, etag=etag_of(payment.version))

    @bp.route(route="v1/payments", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    @api.operation(
        access=READERS, query=PaymentQuery, returns=Page[Payment], raises=(InvalidCursor,)
    )
    async def list_payments(call: Call[None, PaymentQuery]) -> Page[Payment]:
        """List payments, newest first: clients see their own, employees all."""
        return await payments.list(call.caller, call.query)

    @bp.route(
        route="v1/payments/{payment_id:guid}",
        methods=["GET"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(access=READERS, returns=Payment, raises=(NotFound,), etag=True)
    async def get_payment(call: Call[None, None]) -> Reply[Payment]:
        """Get a payment. The ETag names its version."""
        payment = await payments.get(call.caller, call.uuid("payment_id"))
        return Reply(payment, etag=etag_of(payment.version))

    @bp.route(
        route="v1/payments/{payment_id:guid}/refund",
        methods=["POST"],
        auth_level=func.AuthLevel.ANONYMOUS,
    )
    @api.operation(
        access=REFUNDERS,
        body=RefundPayment,
        returns=Refund,
        status=201,
        idempotency_key=True,
        raises=(NotFound, NotRefundable, RefundTooLarge, IdempotencyKeyReused),
    )
    async def refund_payment_request(call: Call[RefundPayment, None]) -> Refund:
        """Give money back, in part or all that is left, as often as something is left.

        `pending` means that the gateway has not answered yet; it is asked again until it does.
        """
        return await refunding.refund(
            call.caller, call.uuid("payment_id"), call.body, call.idempotency
        )

    return bp


def webhooks(api: Api, reconciling: Reconciling, signatures: Signatures) -> func.Blueprint:
    """The HTTP function that the payment gateway calls."""
    bp = func.Blueprint()

    @bp.route(
        route="v1/payments/webhooks/gateway", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS
    )
    @api.operation(
        access=PARTNER,
        body=PaymentNotice,
        status=204,
        signed=signatures,
        raises=(PartnerUnavailable,),
    )
    async def notice_payment(call: Call[PaymentNotice, None]) -> None:
        """Take notice that something happened to a payment.

        The gateway is asked what it was. The same notice may come more than once, late and in any
        order; one about a payment that is not ours changes nothing.
        """
        await reconciling.told(call.body)

    return bp
