"""Messages that start and wake sagas."""

import azure.durable_functions as df
import azure.functions as func

from blueprints.orders.control import SagaControl
from shared.inbox import Event, Inbox

CONNECTION = "ServiceBusConnection"
CONSUMER = "orders-saga"


def blueprint(control: SagaControl, inbox: Inbox) -> df.Blueprint:
    """The Service Bus functions of orders."""
    bp = df.Blueprint()

    @bp.service_bus_topic_trigger(
        arg_name="message",
        topic_name="order-events",
        subscription_name=CONSUMER,
        connection=CONNECTION,
    )
    @bp.durable_client_input(client_name="client")
    async def on_order_event(
        message: func.ServiceBusMessage, client: df.DurableOrchestrationClient
    ) -> None:
        async def placed(event: Event) -> None:
            await control.placed(event, client)

        async def cancel_requested(event: Event) -> None:
            await control.cancel_requested(event, client)

        await inbox.receive(
            message,
            consumer=CONSUMER,
            types={
                "order.placed.v1": placed,
                "order.cancel_requested.v1": cancel_requested,
                "order.shipped.v1": control.shipped,
            },
        )

    @bp.service_bus_topic_trigger(
        arg_name="message",
        topic_name="payment-events",
        subscription_name=CONSUMER,
        connection=CONNECTION,
    )
    @bp.durable_client_input(client_name="client")
    async def on_payment_event(
        message: func.ServiceBusMessage, client: df.DurableOrchestrationClient
    ) -> None:
        async def answered(event: Event) -> None:
            await control.payment_answered(event, client)

        await inbox.receive(message, consumer=CONSUMER, types={"payment.answered.v1": answered})

    return bp
