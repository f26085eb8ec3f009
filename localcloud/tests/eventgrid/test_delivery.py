"""What subscribers get, how often, and what becomes of what they refuse."""

import asyncio
import json
from typing import Any

import pytest
from azure.servicebus.aio import ServiceBusClient
from azure.storage.blob import BlobServiceClient

from localcloud.cloud import LocalCloud
from localcloud.storage.azurite import connection_string
from localcloud.tests.eventgrid.hook import Hook, until
from localcloud.tests.eventgrid.rig import (
    DEAD_LETTERS,
    FUNCTION_ID,
    QUEUE_ID,
    TOPIC_ID,
    Rig,
    cloud,
    fresh,
    grid_event,
    webhook,
)
from localcloud.tests.functions.stores import Stores
from localcloud.tests.servicebus.rig import BrokerProcess

RETRY = "learn:azure/event-grid/delivery-and-retry"


def only(kind: str) -> dict[str, Any]:
    return {"includedEventTypes": [kind]}


@pytest.mark.conforms(
    "Event Grid",
    "a CloudEvent is delivered alone, as an object, with the facts of its delivery as headers",
    source="learn:azure/event-grid/cloud-event-schema",
)
def test_a_webhook_gets_a_cloud_event_as_it_was_published(grid: Rig, hook: Hook) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe("clouds", webhook(path.url), filter=only(kind))
    event = cloud(kind, extensions={"traceparent": "00-aa-bb-01"})

    grid.publish("clouds", event, cloud(fresh("other")))

    (request,) = until(path.notifications, bool)
    assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert request.headers["aeg-subscription-name"] == name.upper()
    assert request.headers["aeg-delivery-count"] == "0"
    assert request.headers["aeg-metadata-version"] == "1.0"
    assert "aeg-data-version" not in request.headers
    assert len(request.headers["aeg-output-event-id"]) == 36
    assert request.body == {
        "id": event.id,
        "source": "/orders",
        "type": kind,
        "specversion": "1.0",
        "data": {"order_id": "o-1"},
        "subject": "orders/1",
        "time": request.body["time"],
        "traceparent": "00-aa-bb-01",
    }
    state = grid.settled("clouds", name)
    assert (state["matched"], state["delivered"], state["failed_attempts"]) == (1, 1, 0)
    grid.drop("clouds", name)


def test_event_grids_own_schema_travels_in_an_array_or_becomes_cloud_events(
    grid: Rig, hook: Hook
) -> None:
    kind = fresh("type")
    own, foreign = hook.at(f"/{kind}/own"), hook.at(f"/{kind}/foreign")
    names = [
        grid.subscribe("grids", webhook(own.url), filter=only(kind)),
        grid.subscribe(
            "grids",
            webhook(foreign.url),
            filter=only(kind),
            eventDeliverySchema="CloudEventSchemaV1_0",
        ),
    ]
    event = grid_event(kind)

    grid.publish("grids", event)

    (request,) = until(own.notifications, bool)
    topic = (
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/localcloud"
        "/providers/Microsoft.EventGrid/topics/grids"
    )
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    assert request.headers["aeg-data-version"] == "2"
    assert request.body == [
        {
            "id": str(event.id),
            "topic": topic,
            "subject": "orders/1",
            "eventType": kind,
            "data": {"order_id": "o-1"},
            "dataVersion": "2",
            "metadataVersion": "1",
            "eventTime": request.body[0]["eventTime"],
        }
    ]
    (converted,) = until(foreign.notifications, bool)
    assert converted.body == {
        "specversion": "1.0",
        "id": str(event.id),
        "source": topic,
        "type": kind,
        "subject": "orders/1",
        "time": request.body[0]["eventTime"],
        "data": {"order_id": "o-1"},
    }
    for name in names:
        grid.drop("grids", name)


@pytest.mark.conforms(
    "Event Grid",
    "a batch never holds more than maxEventsPerBatch events",
    source=RETRY,
)
def test_events_travel_together_when_asked_for(grid: Rig, hook: Hook) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe("clouds", webhook(path.url, maxEventsPerBatch=3), filter=only(kind))

    events = [cloud(kind) for _ in range(7)]
    grid.publish("clouds", *events)

    until(path.events, lambda found: len(found) == 7)
    assert sorted(path.ids()) == sorted(event.id for event in events)
    assert sorted(len(r.events) for r in path.notifications()) == [1, 3, 3]
    kinds = {r.headers["content-type"] for r in path.notifications()}
    assert kinds == {"application/cloudevents-batch+json; charset=utf-8"}
    grid.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "only 200, 201, 202, 203 and 204 are successes; all others are tried again",
    source=RETRY,
)
@pytest.mark.parametrize("status", [200, 201, 203, 204])
def test_a_success_is_not_repeated(grid: Rig, hook: Hook, status: int) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe("clouds", webhook(path.url), filter=only(kind))
    path.statuses[:] = [500, status]

    grid.publish("clouds", cloud(kind))

    state = grid.settled("clouds", name)
    assert len(path.notifications()) == 2
    assert (state["delivered"], state["failed_attempts"]) == (1, 1)
    assert state["last_error"] == "GenericError: HTTP 500"
    grid.drop("clouds", name)


def test_whatever_is_no_success_is_tried_again(grid: Rig, hook: Hook) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe("clouds", webhook(path.url), filter=only(kind))
    path.statuses[:] = [205, 302, 404, 408, 503]

    grid.publish("clouds", cloud(kind))

    state = grid.settled("clouds", name)
    counts = [request.headers["aeg-delivery-count"] for request in path.notifications()]
    assert counts == ["0", "1", "2", "3", "4", "5"]
    assert len({r.headers["aeg-output-event-id"] for r in path.notifications()}) == 1
    assert (state["delivered"], state["failed_attempts"]) == (1, 5)
    assert state["last_error"] == "Busy: HTTP 503"
    grid.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "400, 401, 403 and 413 of a webhook are not tried again; the event is dead-lettered",
    source=RETRY,
)
@pytest.mark.parametrize(
    "answered",
    [
        (400, "UndeliverableDueToHttpBadRequest", "BadRequest"),
        (401, "UndeliverableDueToHttpUnauthorized", "Unauthorized"),
        (403, "UndeliverableDueToHttpForbidden", "Forbidden"),
        (413, "UndeliverableDueToHttpRequestEntityTooLarge", "PayloadTooLarge"),
    ],
)
def test_what_cannot_help_is_not_tried_again(
    grid: Rig, hook: Hook, azurite: LocalCloud, answered: tuple[int, str, str]
) -> None:
    status, reason, outcome = answered
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe(
        "clouds", webhook(path.url), filter=only(kind), deadLetterDestination=DEAD_LETTERS
    )
    path.status = status
    event = cloud(kind)

    grid.publish("clouds", event)

    state = grid.settled("clouds", name)
    assert len(path.notifications()) == 1
    assert (state["dead_lettered"], state["dropped"], state["delivered"]) == (1, 0, 0)
    (dead,) = grid.dead("clouds", name)
    facts = (dead["event_id"], dead["reason"], dead["outcome"], dead["attempts"], dead["status"])
    assert facts == (event.id, reason, outcome, 1, "written")
    (letter,) = blob(azurite, dead["blob"])
    assert letter["id"] == event.id
    assert letter["data"] == {"order_id": "o-1"}
    assert letter["deadletterreason"] == reason
    assert letter["lastdeliveryoutcome"] == outcome
    assert letter["deliveryattempts"] == 1
    assert letter["publishtime"] < letter["lastdeliveryattempttime"]
    grid.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "after maxDeliveryAttempts the event is dead-lettered, in Event Grid's words for its schema",
    source=RETRY,
)
def test_an_event_is_given_up_after_so_many_attempts(
    grid: Rig, hook: Hook, azurite: LocalCloud
) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe(
        "grids",
        webhook(path.url),
        filter=only(kind),
        deadLetterDestination=DEAD_LETTERS,
        retryPolicy={"maxDeliveryAttempts": 3},
    )
    path.status = 404
    event = grid_event(kind)

    grid.publish("grids", event)

    state = grid.settled("grids", name)
    assert len(path.notifications()) == 3
    assert (state["failed_attempts"], state["dead_lettered"]) == (3, 1)
    (dead,) = grid.dead("grids", name)
    container, topic, subscription, *date, _ = dead["blob"].split("/")
    assert (container, topic, subscription) == ("eventgrid-dead-letters", "grids", name)
    assert [part for part in date if part.startswith("0") and part != "0"] == []
    assert len(date) == 4
    (letter,) = blob(azurite, dead["blob"])
    assert letter["eventType"] == kind
    assert letter["deadLetterReason"] == "MaxDeliveryAttemptsExceeded"
    assert letter["lastDeliveryOutcome"] == "NotFound"
    assert letter["deliveryAttempts"] == 3
    grid.drop("grids", name)


@pytest.mark.conforms(
    "Event Grid",
    "without a dead-letter destination an event that is given up is dropped",
    source=RETRY,
)
def test_without_a_destination_for_dead_letters_the_event_is_dropped(grid: Rig, hook: Hook) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe("clouds", webhook(path.url), filter=only(kind))
    path.status = 400

    grid.publish("clouds", cloud(kind))

    state = grid.settled("clouds", name)
    assert (state["dead_lettered"], state["dropped"]) == (0, 1)
    (dead,) = grid.dead("clouds", name)
    assert (dead["status"], dead["blob"]) == ("dropped", None)
    grid.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "an event that is older than its time to live is given up at its next attempt",
    source=RETRY,
)
def test_an_event_that_is_too_old_is_given_up(grid: Rig, hook: Hook) -> None:
    """A minute is 60 ms here; the wait after a 408 is 120 ms."""
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe(
        "clouds",
        webhook(path.url),
        filter=only(kind),
        retryPolicy={"eventTimeToLiveInMinutes": 1},
    )
    path.status = 408

    grid.publish("clouds", cloud(kind))

    assert grid.settled("clouds", name)["dropped"] == 1
    (dead,) = grid.dead("clouds", name)
    assert (dead["reason"], dead["outcome"]) == ("TimeToLiveExceeded", "TimedOut")
    assert len(path.notifications()) == 1
    grid.drop("clouds", name)


def test_a_subscriber_that_hangs_or_is_dead_disturbs_nobody(grid: Rig, hook: Hook) -> None:
    kind = fresh("type")
    slow, good = hook.at(f"/{kind}/slow"), hook.at(f"/{kind}/good")
    nobody = f"http://127.0.0.1:9/{kind}"
    names = [grid.subscribe("clouds", webhook(p.url), filter=only(kind)) for p in (slow, good)]
    dead = fresh("dead")
    slow.held.clear()
    assert grid.put("clouds", dead, destination=webhook(nobody)).status_code == 400

    events = [cloud(kind) for _ in range(60)]
    grid.publish("clouds", *events)

    until(good.events, lambda found: len(found) == 60)
    assert sorted(good.ids()) == sorted(event.id for event in events)
    until(slow.notifications, lambda found: len(found) == 16)
    waiting = grid.state("clouds", names[0])
    assert (waiting["pending"], waiting["delivered"]) == (60, 0)
    slow.held.set()
    assert grid.settled("clouds", names[0])["delivered"] == 60
    for name in names:
        grid.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "an endpoint that fails again and again gets a rest, new events included",
    source=RETRY,
)
def test_an_unhealthy_endpoint_gets_a_rest_and_then_everything(grid: Rig, hook: Hook) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = grid.subscribe("clouds", webhook(path.url), filter=only(kind))
    path.status = 500

    events = [cloud(kind) for _ in range(40)]
    grid.publish("clouds", *events)
    until(path.notifications, lambda found: len(found) >= 16)
    path.status = 200

    assert grid.settled("clouds", name)["delivered"] == 40
    grid.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "a delivery attribute is a header: a fixed value, or that at a path of the event",
    source="learn:azure/event-grid/delivery-properties",
)
def test_delivery_attributes_become_headers(grid: Rig, hook: Hook) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    mappings = [
        {"name": "X-Fixed", "type": "Static", "properties": {"value": "a", "isSecret": True}},
        {"name": "X-Order", "type": "Dynamic", "properties": {"sourceField": "data.order_id"}},
        {"name": "X-Bad", "type": "Dynamic", "properties": {"sourceField": "data.bad"}},
        {"name": "X-Object", "type": "Dynamic", "properties": {"sourceField": "data"}},
    ]
    destination = webhook(path.url, deliveryAttributeMappings=mappings)
    name = grid.subscribe("clouds", destination, filter=only(kind))

    grid.publish("clouds", cloud(kind, data={"order_id": 7, "bad": "a\r\nX-Evil: 1"}))

    (request,) = until(path.notifications, bool)
    assert (request.headers["x-fixed"], request.headers["x-order"]) == ("a", "7")
    assert {"x-bad", "x-evil", "x-object"} & request.headers.keys() == set()
    grid.drop("clouds", name)


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


def blob(azurite: LocalCloud, path: str) -> list[dict[str, Any]]:
    container, _, name = path.partition("/")
    with BlobServiceClient.from_connection_string(connection_string(azurite.ports)) as client:
        text = client.get_blob_client(container, name).download_blob().readall()
    letters: list[dict[str, Any]] = json.loads(text)
    return letters
