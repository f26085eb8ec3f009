"""Steps of the order saga that move stock, and steps of the ERP sync; each may run twice."""

from typing import Any
from uuid import UUID

import azure.durable_functions as df

from blueprints.products.models import StepResult
from blueprints.products.stock import StockService
from blueprints.products.sync import SyncService
from shared import telemetry


def blueprint(stock: StockService, sync: SyncService) -> df.Blueprint:
    """The activity functions of the catalogue, named as orchestrations call them."""
    bp = df.Blueprint()

    @bp.activity_trigger(input_name="order")
    async def reserve_stock(order: dict[str, Any]) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await stock.reserve(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def release_stock(order: dict[str, Any]) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await stock.release(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="step")
    async def pull_catalogue_page(step: dict[str, Any]) -> dict[str, bool]:
        with telemetry.correlation(step.get("correlation_id")):
            return {"more": await sync.pull(UUID(step["run_id"]), step["page"])}

    @bp.activity_trigger(input_name="run")
    async def finish_catalogue_sync(run: dict[str, Any]) -> dict[str, str]:
        with telemetry.correlation(run.get("correlation_id")):
            await sync.finish(UUID(run["run_id"]))
            return {}

    @bp.activity_trigger(input_name="run")
    async def fail_catalogue_sync(run: dict[str, Any]) -> dict[str, str]:
        with telemetry.correlation(run.get("correlation_id")):
            await sync.fail(UUID(run["run_id"]), run["failure"])
            return {}

    return bp
