"""Webhooks are asked before they get events, as their schema has it."""

from typing import Any

import httpx
import pytest

from localcloud.tests.eventgrid.hook import Hook, Path, until
from localcloud.tests.eventgrid.rig import VERSION, Rig, cloud, fresh, grid_event, webhook

GRID_HANDSHAKE = "learn:azure/event-grid/end-point-validation-event-grid-events-schema"
CLOUD_HANDSHAKE = "learn:azure/event-grid/end-point-validation-cloud-events-schema"
TOPICS = ("clouds", "grids")


def handshakes(path: Path) -> list[Any]:
    """The requests by which the webhook was asked so far."""
    kind = "aeg-event-type"
    return [r for r in path.requests if r.headers.get(kind) != "Notification"]


def callback(path: Path) -> str:
    """The URL whose GET completes the handshake."""
    request = handshakes(path)[-1]
    if request.method == "OPTIONS":
        return str(request.headers["webhook-request-callback"])
    return str(request.body[0]["data"]["validationUrl"])


def provisioning(rig: Rig, topic: str, name: str) -> str:
    answer = rig.http.get(rig.arm(topic, name), params=VERSION).json()
    return str(answer["properties"]["provisioningState"])


@pytest.mark.conforms(
    "Event Grid",
    "a webhook of Event Grid's schema gets a SubscriptionValidationEvent and answers with its code",
    source=GRID_HANDSHAKE,
)
def test_a_webhook_confirms_with_the_validation_code(patient: Rig, hook: Hook) -> None:
    path = hook.at(f"/{fresh('path')}")

    name = patient.subscribe("grids", webhook(path.url))

    (request,) = path.requests
    assert request.method == "POST"
    assert request.headers["aeg-event-type"] == "SubscriptionValidation"
    (event,) = request.body
    assert event["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent"
    assert event["topic"].endswith("/providers/Microsoft.EventGrid/topics/grids")
    assert (event["subject"], event["metadataVersion"], event["dataVersion"]) == ("", "1", "2")
    assert set(event["data"]) == {"validationCode", "validationUrl"}
    assert provisioning(patient, "grids", name) == "Succeeded"
    patient.drop("grids", name)


@pytest.mark.conforms(
    "Event Grid",
    "a webhook of CloudEvents gets OPTIONS with WebHook-Request-Origin and -Callback",
    source=CLOUD_HANDSHAKE,
)
def test_a_webhook_of_cloud_events_allows_the_origin(patient: Rig, hook: Hook) -> None:
    path = hook.at(f"/{fresh('path')}")

    name = patient.subscribe("clouds", webhook(path.url))

    (request,) = path.requests
    assert request.method == "OPTIONS"
    assert request.headers["webhook-request-origin"] == "eventgrid.azure.net"
    assert request.headers["webhook-request-callback"].startswith(patient.url)
    assert provisioning(patient, "clouds", name) == "Succeeded"
    patient.drop("clouds", name)


@pytest.mark.conforms(
    "Event Grid",
    "without a confirming answer the subscription awaits a GET of the validation URL",
    source=GRID_HANDSHAKE,
)
@pytest.mark.parametrize("topic", TOPICS)
def test_a_handshake_is_completed_by_hand(patient: Rig, hook: Hook, topic: str) -> None:
    kind, name = fresh("type"), fresh("by-hand")
    path = hook.at(f"/{kind}")
    path.handshake = "later"
    event: Any = cloud if topic == "clouds" else grid_event
    wanted = {"includedEventTypes": [kind]}

    assert patient.put(topic, name, destination=webhook(path.url), filter=wanted).is_success
    assert provisioning(patient, topic, name) == "AwaitingManualAction"
    patient.publish(topic, event(kind))
    assert patient.state(topic, name)["matched"] == 0

    assert httpx.get(callback(path).replace("id=", "id=x")).status_code == 400
    assert provisioning(patient, topic, name) == "AwaitingManualAction"

    assert httpx.get(callback(path)).status_code == 200
    assert provisioning(patient, topic, name) == "Succeeded"
    sent = event(kind)
    patient.publish(topic, sent)
    assert until(path.ids, bool) == [str(sent.id)]
    patient.drop(topic, name)


@pytest.mark.conforms(
    "Event Grid",
    "a validation URL that nobody opens in ten minutes makes the subscription fail",
    source=GRID_HANDSHAKE,
)
def test_a_handshake_that_nobody_completes_fails(grid: Rig, hook: Hook) -> None:
    name = fresh("forgotten")
    path = hook.at(f"/{name}")
    path.handshake = "later"

    assert grid.put("clouds", name, destination=webhook(path.url)).is_success

    until(lambda: provisioning(grid, "clouds", name), lambda state: state == "Failed")
    assert httpx.get(callback(path)).status_code == 400
    assert provisioning(grid, "clouds", name) == "Failed"
    grid.drop("clouds", name)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_webhook_that_does_not_agree_makes_no_subscription(
    patient: Rig, hook: Hook, topic: str
) -> None:
    name = fresh("unwanted")
    path = hook.at(f"/{name}")
    path.handshake, path.options_status = "refuse", 404

    refused = patient.put(topic, name, destination=webhook(path.url))

    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "Url validation"
    assert patient.http.get(patient.arm(topic, name), params=VERSION).status_code == 404
    assert len(path.requests) == 1


def test_a_webhook_that_is_not_there_makes_no_subscription(patient: Rig) -> None:
    name = fresh("nowhere")

    refused = patient.put("clouds", name, destination=webhook("http://127.0.0.1:9/events"))

    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "Url validation"
    assert patient.http.get(patient.arm("clouds", name), params=VERSION).status_code == 404


def test_the_old_webhook_keeps_its_events_when_the_new_one_does_not_agree(
    patient: Rig, hook: Hook
) -> None:
    kind = fresh("type")
    old, new = hook.at(f"/{kind}-old"), hook.at(f"/{kind}-new")
    wanted = {"includedEventTypes": [kind]}
    name = patient.subscribe("clouds", webhook(old.url), filter=wanted)
    new.options_status = 404

    moved = patient.http.patch(
        patient.arm("clouds", name), params=VERSION, json={"destination": webhook(new.url)}
    )

    assert moved.status_code == 400
    sent = cloud(kind)
    patient.publish("clouds", sent)
    assert until(old.ids, bool) == [str(sent.id)]
    assert new.ids() == []
    patient.drop("clouds", name)
