"""What subscribers get, how often, and that none disturbs another."""

import pytest

from localcloud.tests.eventgrid.hook import Hook, until
from localcloud.tests.eventgrid.rig import (
    Rig,
    cloud,
    fresh,
    grid_event,
    only,
    webhook,
)

RETRY = "learn:azure/event-grid/delivery-and-retry"


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
