"""Saga steps on orders and their shipments; each may run twice and happens once."""

from typing import Any
from uuid import UUID

import azure.durable_functions as df

from blueprints.orders.fulfilment import Fulfilment
from blueprints.orders.models import StepResult
from blueprints.orders.shipping import Shipping
from shared import telemetry


def blueprint(fulfilment: Fulfilment, shipping: Shipping) -> df.Blueprint:
    """The activity functions of orders, named as orchestrations call them."""
    bp = df.Blueprint()

    @bp.activity_trigger(input_name="order")
    async def book_shipment(order: dict[str, Any]) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await shipping.book(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def cancel_shipment(order: dict[str, Any]) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await shipping.cancel(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def confirm_order(order: dict[str, Any]) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await fulfilment.confirm(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def cancel_order(order: dict[str, Any]) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await fulfilment.cancel(UUID(order["order_id"]), order["reason"])

    @bp.activity_trigger(input_name="order")
    async def park_order(order: dict[str, Any]) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await fulfilment.park(UUID(order["order_id"]), order["reason"], order["stuck"])

    return bp
