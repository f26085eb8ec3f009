"""The management API in ARM's shape, and what the part tells of itself."""

from typing import Any

import httpx
import pytest

from localcloud.tests.eventgrid.hook import Hook, until
from localcloud.tests.eventgrid.rig import SCOPE, VERSION, Rig, cloud, fresh, webhook

CREATE = "learn:rest/api/eventgrid/controlplane/event-subscriptions/create-or-update"
UPDATE = "learn:rest/api/eventgrid/controlplane/event-subscriptions/update"
GET = "learn:rest/api/eventgrid/controlplane/event-subscriptions/get"


def arm(rig: Rig, method: str, path: str, body: Any = None) -> httpx.Response:
    return rig.http.request(method, path, params=VERSION, json=body)


def names(rig: Rig, topic: str) -> list[str]:
    """The subscriptions of a topic, as the list shows them."""
    value = arm(rig, "GET", f"{SCOPE}/topics/{topic}/eventSubscriptions").json()["value"]
    return [entry["name"] for entry in value]


@pytest.mark.conforms(
    "Event Grid",
    "an event subscription is answered with id, name, type and its properties, among them topic and"
    " provisioningState",
    source=CREATE,
)
def test_a_subscription_is_answered_in_arms_shape(patient: Rig, hook: Hook) -> None:
    name = fresh("shape")
    destination = webhook(hook.at(f"/{name}").url, maxEventsPerBatch=10)
    wanted = {
        "destination": destination,
        "filter": {"includedEventTypes": ["order.stuck.v1"], "subjectBeginsWith": "orders/"},
        "retryPolicy": {"maxDeliveryAttempts": 5, "eventTimeToLiveInMinutes": 10},
        "labels": ["demo"],
    }

    made = patient.put("clouds", name, **wanted)

    assert made.status_code == 201
    answer = made.json()
    assert answer["name"] == name
    assert answer["type"] == "Microsoft.EventGrid/topics/eventSubscriptions"
    assert answer["id"].endswith(f"/topics/clouds/eventSubscriptions/{name}")
    properties = answer["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert properties["topic"].endswith("/providers/Microsoft.EventGrid/topics/clouds")
    assert properties["filter"] == wanted["filter"]
    assert properties["retryPolicy"] == wanted["retryPolicy"]
    assert properties["labels"] == ["demo"]
    assert arm(patient, "GET", patient.arm("clouds", name)).json() == answer
    assert name in names(patient, "clouds")
    patient.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "a webhook's address is shown without its query; getFullUrl tells all of it",
    source="learn:rest/api/eventgrid/controlplane/event-subscriptions/get-full-url",
)
def test_the_secret_of_a_webhooks_address_is_told_only_on_demand(patient: Rig, hook: Hook) -> None:
    base = hook.at(f"/{fresh('secret')}").url
    url = f"{base}?code=secret"
    name = patient.subscribe("clouds", webhook(url))
    path = patient.arm("clouds", name)

    shown = arm(patient, "GET", path)
    assert shown.json()["properties"]["destination"] == {
        "endpointType": "WebHook",
        "properties": {"endpointBaseUrl": base},
    }
    listed = arm(patient, "GET", f"{SCOPE}/topics/clouds/eventSubscriptions").text
    assert "code=secret" not in shown.text + listed + patient.http.get("/overview").text
    assert arm(patient, "POST", f"{path}/getFullUrl").json() == {"endpointUrl": url}
    patient.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "PATCH changes what it names and keeps the rest",
    source=UPDATE,
)
def test_a_subscription_is_changed_in_part(patient: Rig, hook: Hook) -> None:
    old, new = fresh("old"), fresh("new")
    path = hook.at(f"/{old}")
    name = patient.subscribe(
        "clouds",
        webhook(path.url),
        filter={"includedEventTypes": [old]},
        retryPolicy={"maxDeliveryAttempts": 5},
    )

    changed = arm(
        patient,
        "PATCH",
        patient.arm("clouds", name),
        {"filter": {"includedEventTypes": [new]}},
    )

    assert changed.status_code == 201
    assert changed.json()["properties"]["filter"] == {"includedEventTypes": [new]}
    assert changed.json()["properties"]["retryPolicy"] == {"maxDeliveryAttempts": 5}
    sent = cloud(new)
    patient.publish("clouds", cloud(old), sent)
    assert until(path.ids, bool) == [str(sent.id)]
    patient.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "a deleted subscription gets nothing more; deleting it again is a 204",
    source="learn:rest/api/eventgrid/controlplane/event-subscriptions/delete",
)
def test_a_deleted_subscription_gets_nothing_more(patient: Rig, hook: Hook) -> None:
    kind = fresh("type")
    gone, stays = hook.at(f"/{kind}-gone"), hook.at(f"/{kind}-stays")
    wanted = {"includedEventTypes": [kind]}
    name = patient.subscribe("clouds", webhook(gone.url), filter=wanted)
    other = patient.subscribe("clouds", webhook(stays.url), filter=wanted)
    url = patient.arm("clouds", name)

    assert arm(patient, "DELETE", url).status_code == 200

    assert arm(patient, "DELETE", url).status_code == 204
    assert arm(patient, "GET", url).status_code == 404
    assert name not in names(patient, "clouds")
    sent = cloud(kind)
    patient.publish("clouds", sent)
    assert until(stays.ids, bool) == [str(sent.id)]
    assert gone.ids() == []
    patient.drop("clouds", other)


def test_a_topic_is_made_and_deleted(patient: Rig) -> None:
    name = fresh("topic")
    url = f"{SCOPE}/topics/{name}"
    wanted = {"location": "local", "properties": {"inputSchema": "CloudEventSchemaV1_0"}}

    made = arm(patient, "PUT", url, wanted)

    assert made.status_code == 201
    assert made.json()["properties"]["endpoint"] == patient.endpoint(name)
    assert patient.topic(name)["schema"] == "CloudEventSchemaV1_0"
    other = {"properties": {"inputSchema": "EventGridSchema"}}
    assert arm(patient, "PUT", url, other).status_code == 400
    assert patient.topic(name)["schema"] == "CloudEventSchemaV1_0"

    assert arm(patient, "DELETE", url).status_code == 200
    assert arm(patient, "GET", url).status_code == 404
    assert arm(patient, "DELETE", url).status_code == 204
    assert patient.post(name, b"[]").status_code == 404


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"properties": {}}, "destination is missing"),
        ({"properties": {"destination": {"endpointType": "WebHook"}}}, "properties is missing"),
        ({"properties": {"destination": webhook("http://evil.example/")}}, "endpointUrl must be"),
        ({"properties": {"destination": webhook("http://127.0.0.1:9/"), "x": 1}}, "x is not known"),
        ({"colour": "red", "properties": {}}, "colour is not known"),
        ({}, "properties is missing"),
        ([], "must be a JSON object"),
        ("text", "must be a JSON object"),
    ],
)
def test_what_arm_would_refuse_makes_no_subscription(patient: Rig, body: Any, why: str) -> None:
    name = fresh("bad")

    refused = arm(patient, "PUT", patient.arm("clouds", name), body)

    assert refused.status_code == 400
    assert why in refused.json()["error"]["message"]
    assert name not in names(patient, "clouds")


def test_hostile_requests_to_the_management_change_nothing(patient: Rig, hook: Hook) -> None:
    url = patient.arm("clouds", fresh("hostile"))
    good = {"properties": {"destination": webhook(hook.at("/hostile").url)}}
    before = patient.http.get("/overview").json()["topics"]

    assert patient.http.put(url, json=good).status_code == 400, "no api-version"
    for raw in (b"", b"{", b"\xff", b"[" * 100_000):
        assert patient.http.put(url, params=VERSION, content=raw).status_code == 400
    large = {"properties": good["properties"] | {"labels": ["x" * 500] * 1000}}
    assert arm(patient, "PUT", url, large).status_code == 413
    assert arm(patient, "PUT", patient.arm("clouds", "a_b"), good).status_code == 400
    assert arm(patient, "PUT", patient.arm("nobody", "abc"), good).status_code == 404
    assert (
        arm(patient, "PUT", patient.arm("clouds", "abc", "systemTopics"), good).status_code == 404
    )
    assert arm(patient, "PATCH", patient.arm("clouds", "nobody"), {}).status_code == 404
    assert arm(patient, "POST", url, good).status_code == 405

    assert patient.http.get("/overview").json()["topics"] == before


def test_what_does_not_run_here_cannot_be_subscribed(patient: Rig) -> None:
    """This one was started without a broker."""
    name = fresh("bus")
    path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/n/queues/q"
    queue = {"endpointType": "ServiceBusQueue", "properties": {"resourceId": path}}

    refused = patient.put("clouds", name, destination=queue)

    assert refused.status_code == 400
    assert "--servicebus" in refused.json()["error"]["message"]
    assert name not in names(patient, "clouds")


def test_the_overview_tells_of_topics_subscriptions_and_totals(patient: Rig, hook: Hook) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = patient.subscribe("clouds", webhook(path.url), filter={"includedEventTypes": [kind]})
    before = patient.http.get("/overview").json()["totals"]
    path.held.clear()
    try:
        patient.publish("clouds", cloud(kind), cloud("nobody-wants-it"))
        until(path.notifications, bool)
        waiting = patient.state("clouds", name)
    finally:
        path.held.set()
    told = patient.settled("clouds", name)

    assert (waiting["matched"], waiting["pending"], waiting["delivered"]) == (1, 1, 0)
    assert waiting["next_attempt_at"] is not None
    assert told.pop("last_delivered_at") is not None
    assert told == {
        "name": name,
        "provisioning_state": "Succeeded",
        "filter": f"type is {kind}",
        "destination": {"type": "WebHook", "name": path.url},
        "schema": "CloudEventSchemaV1_0",
        "dead_letter_container": None,
        "expires_at": None,
        "matched": 1,
        "delivered": 1,
        "failed_attempts": 0,
        "dead_lettered": 0,
        "dropped": 0,
        "pending": 0,
        "dead_lettering": 0,
        "last_error": None,
        "last_error_at": None,
        "next_attempt_at": None,
    }
    after = patient.http.get("/overview").json()["totals"]
    assert after == before | {
        "published": before["published"] + 2,
        "matched": before["matched"] + 1,
        "delivered": before["delivered"] + 1,
    }
    patient.drop("clouds", name)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1" * 5000, "²", "00001234"])
def test_dead_letters_are_listed_within_limits(patient: Rig, limit: str) -> None:
    assert patient.http.get("/dead-letters", params={"limit": limit}).status_code == 400
    assert patient.http.get("/dead-letters", params={"limit": "1000"}).json() == {
        "dead_letters": []
    }


def test_it_says_that_it_is_well(patient: Rig) -> None:
    answer = patient.http.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
