"""What notifications take in from queues, and what the clock starts."""

import azure.durable_functions as df
import azure.functions as func

from blueprints.notifications.digesting import Digesting
from blueprints.notifications.intake import Intake
from blueprints.notifications.reporting import Reporting
from blueprints.notifications.sending import Sending
from shared import telemetry
from shared.inbox import Inbox

CONNECTION = "ServiceBusConnection"
EVENTS = "notifications"
"""Fed by filtered subscriptions on all topics; a session per aggregate keeps its order."""
ALARMS = "attention"
"""Fed by Event Grid with what needs a person."""
REPORTS = "delivery-reports"
"""Fed by Event Grid with what became of emails and SMS."""


def blueprint(
    intake: Intake, inbox: Inbox, sending: Sending, digesting: Digesting, reporting: Reporting
) -> df.Blueprint:
    """The Service Bus and timer functions of notifications."""
    bp = df.Blueprint()

    @bp.service_bus_queue_trigger(
        arg_name="message", queue_name=EVENTS, connection=CONNECTION, is_sessions_enabled=True
    )
    async def on_event_to_notify(message: func.ServiceBusMessage) -> None:
        await inbox.receive_in_transaction(message, consumer=EVENTS, types=intake.handlers)
        sending.kick()

    @bp.service_bus_queue_trigger(arg_name="message", queue_name=ALARMS, connection=CONNECTION)
    async def on_attention_needed(message: func.ServiceBusMessage) -> None:
        await inbox.receive_in_transaction(message, consumer=ALARMS, types=intake.alarms)
        sending.kick()

    @bp.service_bus_queue_trigger(arg_name="message", queue_name=REPORTS, connection=CONNECTION)
    async def on_delivery_report(message: func.ServiceBusMessage) -> None:
        await reporting.receive(message)

    @bp.timer_trigger(arg_name="timer", schedule="%NOTIFICATION_SENDING_SCHEDULE%")
    async def send_due_notifications(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger
        with telemetry.correlation(None):
            await sending.send_due()

    @bp.timer_trigger(arg_name="timer", schedule="%NOTIFICATION_DIGEST_SCHEDULE%")
    async def gather_digests(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger
        with telemetry.correlation(None):
            if await digesting.gather():
                sending.kick()

    return bp
