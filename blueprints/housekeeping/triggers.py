"""The timers of housekeeping."""

import azure.functions as func

from blueprints.housekeeping.service import Housekeeping


def blueprint(housekeeping: Housekeeping) -> func.Blueprint:
    """One timer: relay first, as somebody waits for that."""
    bp = func.Blueprint()

    @bp.timer_trigger(
        arg_name="timer",
        schedule="%OUTBOX_RELAY_SCHEDULE%",
        run_on_startup=False,
        use_monitor=False,
    )
    async def relay_outbox(timer: func.TimerRequest) -> None:  # noqa: ARG001 - bound by its name
        """Send the events that the inline dispatch left over, then forget what is old."""
        await housekeeping.relay_outbox()
        await housekeeping.prune()

    return bp
