"""Saga steps on an order's money; each may run twice and happens once."""

from typing import NotRequired, TypedDict
from uuid import UUID

import azure.durable_functions as df

from blueprints.payments.authorising import Authorising
from blueprints.payments.capturing import Capturing
from blueprints.payments.models import StepResult
from blueprints.payments.refunding import Refunding
from shared import telemetry


class StepInput(TypedDict):
    """What the saga hands to every step. A class, because the worker takes no generic alias."""

    order_id: str
    correlation_id: NotRequired[str | None]


def blueprint(authorising: Authorising, capturing: Capturing, refunding: Refunding) -> df.Blueprint:
    """The activity functions of payments, named as orchestrations call them."""
    bp = df.Blueprint()

    @bp.activity_trigger(input_name="order")
    async def authorise_payment(order: StepInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await authorising.authorise(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def void_payment(order: StepInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await authorising.void(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def capture_payment(order: StepInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await capturing.capture(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def refund_payment(order: StepInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await refunding.refund_for_order(UUID(order["order_id"]))

    return bp
