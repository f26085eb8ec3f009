"""What feeds the audit trail, and its timers."""

import azure.functions as func

from blueprints.audit.anchoring import Anchoring
from blueprints.audit.trail import CONSUMER, Trail, of_event
from shared.inbox import Event, Inbox

CONNECTION = "ServiceBusConnection"
QUEUE = "audit"


def blueprint(trail: Trail, anchoring: Anchoring, inbox: Inbox) -> func.Blueprint:
    """One queue with every event of every topic, and two timers."""
    bp = func.Blueprint()

    @bp.service_bus_queue_trigger(arg_name="message", queue_name=QUEUE, connection=CONNECTION)
    async def on_audited_event(message: func.ServiceBusMessage) -> None:
        async def record(event: Event) -> None:
            await trail.record([of_event(event)])

        await inbox.receive_any(message, consumer=CONSUMER, handler=record)

    @bp.timer_trigger(
        arg_name="timer",
        schedule="%AUDIT_ANCHOR_SCHEDULE%",
        run_on_startup=False,
        use_monitor=False,
    )
    async def anchor_audit_trail(timer: func.TimerRequest) -> None:  # noqa: ARG001 - bound by name
        """Sign the days that are over."""
        await anchoring.anchor()

    @bp.timer_trigger(
        arg_name="timer",
        schedule="%AUDIT_PARTITION_SCHEDULE%",
        run_on_startup=False,
        use_monitor=False,
    )
    async def make_audit_partitions(timer: func.TimerRequest) -> None:  # noqa: ARG001 - as above
        """Make room for the months to come."""
        await anchoring.make_partitions()

    return bp
