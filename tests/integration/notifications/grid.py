"""Delivery reports as Event Grid puts them into the queue."""

import json
from typing import Any
from uuid import UUID, uuid4

from tests.integration.notifications.doubles import Person, Post
from tests.integration.notifications.outbound import Outbound
from tests.integration.shared.deliveries import message

EMAIL = "Microsoft.Communication.EmailDeliveryReportReceived"
SMS = "Microsoft.Communication.SMSDeliveryReportReceived"


def report(
    reference: object, recipient: str, status: str, detail: str = "", **envelope: Any
) -> dict[str, Any]:
    """A report on a mail, as Event Grid delivers it."""
    return {
        "id": str(uuid4()),
        "topic": "/subscriptions/s/resourceGroups/g/providers/microsoft.communication/c",
        "subject": f"sender/orders@shop.example/message/{reference}",
        "data": {
            "sender": "orders@shop.example",
            "recipient": recipient,
            "messageId": str(reference),
            "status": status,
            "deliveryStatusDetails": {"statusMessage": detail},
            "deliveryAttemptTimestamp": "2026-11-24T12:00:00+00:00",
        },
        "eventType": EMAIL,
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": "2026-11-24T12:00:01Z",
    } | envelope


async def receive(outbound: Outbound, event: Any) -> None:
    await outbound.reporting.receive(message(json.dumps(event).encode(), message_id=str(uuid4())))


async def sent(outbound: Outbound, to: Person) -> tuple[UUID, UUID]:
    """A mail that the provider has: the ids of the notification and of the delivery."""
    told = await outbound.tell(to)
    await outbound.process(email=Post()).send_due()
    return told, (await outbound.delivery(told))["id"]
