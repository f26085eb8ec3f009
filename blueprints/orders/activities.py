"""Saga steps on orders and their shipments; each may run twice and happens once."""

from typing import NotRequired, TypedDict
from uuid import UUID

import azure.durable_functions as df

from blueprints.orders.fulfilment import Fulfilment
from blueprints.orders.models import StepResult
from blueprints.orders.shipping import Shipping
from shared import telemetry


class StepInput(TypedDict):
    """What the saga hands to every step. A class, because the worker takes no generic alias."""

    order_id: str
    correlation_id: NotRequired[str | None]


class CancelInput(StepInput):
    """Why the order ends without goods: a refusal's code."""

    reason: str


class ParkInput(CancelInput):
    """Which undos could not be done, and by which orchestration; older ones do not say."""

    stuck: list[str]
    saga: NotRequired[str]


def blueprint(fulfilment: Fulfilment, shipping: Shipping) -> df.Blueprint:
    """The activity functions of orders, named as orchestrations call them."""
    bp = df.Blueprint()

    @bp.activity_trigger(input_name="order")
    async def book_shipment(order: StepInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await shipping.book(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def cancel_shipment(order: StepInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await shipping.cancel(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def confirm_order(order: StepInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await fulfilment.confirm(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def cancel_order(order: CancelInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await fulfilment.cancel(UUID(order["order_id"]), order["reason"])

    @bp.activity_trigger(input_name="order")
    async def park_order(order: ParkInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await fulfilment.park(
                UUID(order["order_id"]),
                order["reason"],
                order["stuck"],
                saga=order.get("saga", order["order_id"]),
            )

    return bp
