"""Deliveries to Service Bus and to functions."""

import asyncio
import json
from typing import Any

import pytest
from azure.servicebus.aio import ServiceBusClient

from localcloud.tests.eventgrid.rig import (
    FUNCTION_ID,
    QUEUE_ID,
    TOPIC_ID,
    Rig,
    cloud,
    fresh,
    grid_event,
    only,
)
from localcloud.tests.functions.stores import Stores
from localcloud.tests.servicebus.rig import BrokerProcess


@pytest.mark.conforms(
    "Event Grid",
    "a Service Bus message holds the event; its id is the internal one, kept across redeliveries",
    source="learn:azure/event-grid/handler-service-bus",
)
async def test_a_queue_gets_each_event_as_a_message(grid: Rig, broker: BrokerProcess) -> None:
    kind = fresh("type")
    queue = {"endpointType": "ServiceBusQueue", "properties": {"resourceId": QUEUE_ID + "plain"}}
    name = await asyncio.to_thread(grid.subscribe, "clouds", queue, filter=only(kind))
    events = [cloud(kind, data={"number": number}) for number in range(3)]

    await asyncio.to_thread(grid.publish, "clouds", *events)

    async with (
        ServiceBusClient.from_connection_string(broker.connection_string()) as client,
        client.get_queue_receiver("plain") as receiver,
    ):
        found = await take(receiver, 3)
    assert [json.loads(str(message))["id"] for message in found] == [event.id for event in events]
    assert json.loads(str(found[0]))["data"] == {"number": 0}
    assert found[0].content_type == "application/cloudevents+json; charset=utf-8"
    properties = {
        key.decode(): value.decode() if isinstance(value, bytes) else value
        for key, value in found[0].application_properties.items()
    }
    assert properties == {
        "aeg-subscription-name": name.upper(),
        "aeg-delivery-count": "0",
        "aeg-event-type": "Notification",
        "aeg-metadata-version": "1.0",
        "aeg-output-event-id": found[0].message_id,
    }
    state = await asyncio.to_thread(grid.settled, "clouds", name)
    assert state["delivered"] == 3
    await asyncio.to_thread(grid.drop, "clouds", name)


async def test_a_topic_gets_messages_whose_properties_come_from_the_event(
    grid: Rig, broker: BrokerProcess
) -> None:
    kind = fresh("type")
    mappings = [
        {"name": "SessionId", "type": "Dynamic", "properties": {"sourceField": "subject"}},
        {"name": "Label", "type": "Dynamic", "properties": {"sourceField": "type"}},
        {"name": "tier", "type": "Static", "properties": {"value": "gold"}},
    ]
    properties = {"resourceId": TOPIC_ID + "fan", "deliveryAttributeMappings": mappings}
    destination = {"endpointType": "ServiceBusTopic", "properties": properties}
    name = await asyncio.to_thread(grid.subscribe, "clouds", destination, filter=only(kind))

    await asyncio.to_thread(grid.publish, "clouds", cloud(kind))

    async with (
        ServiceBusClient.from_connection_string(broker.connection_string()) as client,
        client.get_subscription_receiver("fan", "all") as receiver,
    ):
        (message,) = await take(receiver, 1)
    assert (message.session_id, message.subject) == ("orders/1", kind)
    assert message.application_properties[b"tier"] == b"gold"
    await asyncio.to_thread(grid.drop, "clouds", name)


def test_a_queue_that_does_not_exist_is_tried_again_and_given_up(grid: Rig) -> None:
    kind = fresh("type")
    queue = {"endpointType": "ServiceBusQueue", "properties": {"resourceId": QUEUE_ID + "nowhere"}}
    name = grid.subscribe(
        "clouds", queue, filter=only(kind), retryPolicy={"maxDeliveryAttempts": 2}
    )

    grid.publish("clouds", cloud(kind))

    state = grid.settled("clouds", name)
    assert (state["failed_attempts"], state["dropped"]) == (2, 1)
    assert state["last_error"].startswith("NotFound: MessagingEntityNotFoundError")
    grid.drop("clouds", name)


def test_a_function_runs_on_each_event(grid: Rig, stores: Stores) -> None:
    kind = fresh("type")
    function = {"endpointType": "AzureFunction", "properties": {"resourceId": FUNCTION_ID + "hear"}}
    name = grid.subscribe("grids", function, filter=only(kind))
    event = grid_event(kind, data={"order": 7})

    grid.publish("grids", event)

    assert grid.settled("grids", name)["delivered"] == 1
    assert stores.noted("heard", id=str(event.id)) == [
        {"id": str(event.id), "type": kind, "subject": "orders/1", "data": {"order": 7}}
    ]
    grid.drop("grids", name)


def test_a_function_that_is_not_there_is_tried_again(grid: Rig) -> None:
    kind = fresh("type")
    resource = {"resourceId": FUNCTION_ID + "nobody"}
    function = {"endpointType": "AzureFunction", "properties": resource}
    policy = {"maxDeliveryAttempts": 2}
    name = grid.subscribe("grids", function, filter=only(kind), retryPolicy=policy)

    grid.publish("grids", grid_event(kind))

    state = grid.settled("grids", name)
    assert (state["failed_attempts"], state["last_error"]) == (2, "NotFound: HTTP 404")
    grid.drop("grids", name)


async def take(receiver: Any, count: int) -> list[Any]:
    """The next messages, settled."""
    found: list[Any] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            for message in await receiver.receive_messages(count - len(found), max_wait_time=5):
                await receiver.complete_message(message)
                found.append(message)
    return found
