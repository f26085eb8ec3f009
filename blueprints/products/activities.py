"""Steps of the order saga that move stock, and steps of the ERP sync; each may run twice."""

from typing import NotRequired, TypedDict
from uuid import UUID

import azure.durable_functions as df

from blueprints.products.models import StepResult
from blueprints.products.stock import StockService
from blueprints.products.sync import SyncService
from shared import telemetry


class StepInput(TypedDict):
    """What the saga hands to every step. A class, because the worker takes no generic alias."""

    order_id: str
    correlation_id: NotRequired[str | None]


class RunInput(TypedDict):
    """Which run of the ERP sync."""

    run_id: str
    correlation_id: NotRequired[str | None]


class PageInput(RunInput):
    """Which page to pull, from 1."""

    page: int


class FailedRunInput(RunInput):
    """Why the run came to nothing."""

    failure: str


def blueprint(stock: StockService, sync: SyncService) -> df.Blueprint:
    """The activity functions of the catalogue, named as orchestrations call them."""
    bp = df.Blueprint()

    @bp.activity_trigger(input_name="order")
    async def reserve_stock(order: StepInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await stock.reserve(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="order")
    async def release_stock(order: StepInput) -> StepResult:
        with telemetry.correlation(order.get("correlation_id")):
            return await stock.release(UUID(order["order_id"]))

    @bp.activity_trigger(input_name="step")
    async def pull_catalogue_page(step: PageInput) -> dict[str, bool]:
        with telemetry.correlation(step.get("correlation_id")):
            return {"more": await sync.pull(UUID(step["run_id"]), step["page"])}

    @bp.activity_trigger(input_name="run")
    async def finish_catalogue_sync(run: RunInput) -> StepResult:
        with telemetry.correlation(run.get("correlation_id")):
            return await sync.finish(UUID(run["run_id"]))

    @bp.activity_trigger(input_name="run")
    async def fail_catalogue_sync(run: FailedRunInput) -> StepResult:
        with telemetry.correlation(run.get("correlation_id")):
            await sync.fail(UUID(run["run_id"]), run["failure"])
            return {}

    return bp
