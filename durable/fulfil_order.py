"""The fulfilment of an order: stock, then money, then goods; or everything back where it was."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from durable.saga import Refused, Saga, Step, Superseded

bp = df.Blueprint()

ANSWERED = "payment_answered"
CANCEL_REQUESTED = "cancel_requested"

MAX_ANSWERS = 10
"""How often one payment may be answered without effect.

The SDK hands an event that came before its wait to *every* later wait of that name, so a loop
without a bound would spin on one early answer until the window closes.
"""


@bp.orchestration_trigger(context_name="context")
def fulfil_order(context: df.DurableOrchestrationContext) -> Step[dict[str, Any]]:
    """Take the order from `placed` to `confirmed`; on failure leave the customer where they
    started.

    Input: `{"order_id", "correlation_id", "waits_s"}`. Output: `{"status": "confirmed" |
    "cancelled" | "stuck" | "left", "reason"?, "stuck"?}`; `left` means that the order was already
    finished.
    """
    subject: Mapping[str, Any] = context.get_input()
    saga = Saga(context, subject)
    try:
        yield from saga.do("reserve_stock", undo="release_stock")
        payment = yield from saga.do("authorise_payment", undo="void_payment")
        if "pending" in payment:
            yield from _await_confirmation(context, saga, payment["window_s"])
        yield from saga.do("book_shipment", undo="cancel_shipment")
        yield from saga.do("capture_payment", undo="refund_payment")
        yield from saga.settle("confirm_order")
    except Superseded as finished:
        # Whoever finished it has undone or kept what there was: nothing here is ours to undo.
        return {"status": "left", "reason": str(finished)}
    except Refused as refusal:
        return (yield from saga.call_off(str(refusal)))
    except Exception:  # noqa: BLE001 - the SDK rethrows every fault as Exception
        return (yield from saga.call_off("internal_fault"))
    return {"status": "confirmed"}


def _await_confirmation(
    context: df.DurableOrchestrationContext, saga: Saga, window_s: int
) -> Step[None]:
    """Return once the customer has confirmed the payment.

    The event only wakes us; whether the payment is good is asked of `authorise_payment`, also
    when the window closes, because an answer may have been given whose event is still on its way.
    """
    deadline = context.current_utc_datetime + timedelta(seconds=window_s)
    for _ in range(MAX_ANSWERS):
        context.set_custom_status("await_confirmation")
        first = yield from saga.first_of(ANSWERED, CANCEL_REQUESTED, until=deadline)
        if first == CANCEL_REQUESTED:
            raise Refused(CANCEL_REQUESTED)
        payment = yield from saga.do("authorise_payment")
        if "pending" not in payment:
            return
        if first is None:
            raise Refused("confirmation_expired")
    raise Refused("confirmation_failed")
