"""The timer that reconciles payments with the gateway."""

import azure.durable_functions as df
import azure.functions as func

from blueprints.payments.reconciling import Reconciling
from shared import telemetry


def blueprint(reconciling: Reconciling) -> df.Blueprint:
    """The timer functions of payments."""
    bp = df.Blueprint()

    @bp.timer_trigger(arg_name="timer", schedule="%PAYMENT_RECONCILE_SCHEDULE%")
    async def reconcile_payments(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger
        with telemetry.correlation(None):
            await reconciling.run()

    return bp
