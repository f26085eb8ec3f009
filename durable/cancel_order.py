"""The cancellation of an order whose fulfilment is over: give back goods, money and stock."""

from collections.abc import Mapping
from typing import Any

import azure.durable_functions as df

from durable.saga import Saga, Step

bp = df.Blueprint()

UNDO = ("release_stock", "void_payment", "refund_payment", "cancel_shipment")
"""Everything that a fulfilment may have done, oldest first.

All of it is tried for every order, however far it came: each is a no-op when there is nothing to
undo.
"""


@bp.orchestration_trigger(context_name="context")
def cancel_order_saga(context: df.DurableOrchestrationContext) -> Step[dict[str, Any]]:
    """Take a confirmed or stuck order from `cancelling` to `cancelled`, or park it again.

    Input: `{"order_id", "correlation_id", "waits_s"}`. Output: `{"status": "cancelled" | "stuck" |
    "left", ...}`.
    """
    subject: Mapping[str, Any] = context.get_input()
    saga = Saga(context, subject, undo=UNDO)
    return (yield from saga.call_off("cancel_requested"))
