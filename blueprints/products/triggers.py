"""What the clock starts: the ERP sync, and giving back stock that nobody confirmed."""

from typing import Any

import azure.durable_functions as df
import azure.functions as func

from blueprints.products.stock import StockService
from blueprints.products.sync import SyncService
from shared import telemetry


def blueprint(stock: StockService, sync: SyncService) -> df.Blueprint:
    """The timer functions of the catalogue."""
    bp = df.Blueprint()

    @bp.timer_trigger(schedule="%ERP_SYNC_SCHEDULE%", arg_name="timer")
    @bp.durable_client_input(client_name="client")
    async def start_scheduled_erp_sync(
        timer: func.TimerRequest,  # noqa: ARG001 - the binding's name must be a parameter
        client: Any,
    ) -> None:
        with telemetry.correlation(None):
            await sync.start(client, "schedule")

    @bp.timer_trigger(schedule="%RESERVATION_EXPIRY_SCHEDULE%", arg_name="timer")
    async def expire_reservations(timer: func.TimerRequest) -> None:  # noqa: ARG001
        with telemetry.correlation(None):
            await stock.expire()

    return bp
