"""The publish endpoint, with the SDK and by hand: what it takes, and what it refuses as a whole."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.eventgrid.aio import EventGridPublisherClient as AsyncPublisher

from localcloud.tests.eventgrid.hook import Hook, Path, until
from localcloud.tests.eventgrid.rig import (
    KEY,
    SCOPE,
    VERSION,
    Rig,
    cloud,
    fresh,
    grid_event,
    raw_cloud,
    raw_grid,
    webhook,
)

POSTING = "learn:azure/event-grid/post-to-custom-topic"
MEGABYTE = 1024 * 1024
JSON = "application/json"


def listening(rig: Rig, hook: Hook, topic: str) -> tuple[str, str, Path]:
    """A new subscription: its name, the type that it wants, and its webhook."""
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    name = rig.subscribe(topic, webhook(path.url), filter={"includedEventTypes": [kind]})
    return name, kind, path


async def test_the_asynchronous_client_publishes_a_batch(patient: Rig, hook: Hook) -> None:
    _, kind, path = listening(patient, hook, "clouds")
    events = [cloud(kind) for _ in range(3)]

    endpoint, credential = patient.endpoint("clouds"), AzureKeyCredential(KEY)
    async with AsyncPublisher(endpoint, credential, retry_total=0) as client:
        await client.send(events)

    until(path.ids, lambda ids: len(ids) == 3)
    assert sorted(path.ids()) == sorted(event.id for event in events)


def test_binary_data_stays_in_base64(patient: Rig, hook: Hook) -> None:
    _, kind, path = listening(patient, hook, "clouds")

    patient.publish("clouds", cloud(kind, data=b"\x00\xff"))

    (event,) = until(path.events, bool)
    assert event["data_base64"] == "AP8="
    assert "data" not in event


@pytest.mark.conforms(
    "Event Grid",
    "one CloudEvent is posted as application/cloudevents+json, several as cloudevents-batch+json",
    source="learn:azure/event-grid/cloud-event-schema",
)
def test_a_single_cloud_event_is_posted_as_an_object(patient: Rig, hook: Hook) -> None:
    _, kind, path = listening(patient, hook, "clouds")
    body = json.dumps(raw_cloud(type=kind)).encode()

    answer = patient.post("clouds", body, content_type="application/cloudevents+json")

    assert (answer.status_code, answer.content) == (200, b"")
    assert until(path.ids, bool) == ["1"]


@pytest.mark.conforms(
    "Event Grid",
    "a system topic takes events of Event Grid's schema, and they get its topic",
    source="learn:azure/event-grid/event-schema",
)
def test_a_system_topic_stamps_its_own_name_on_events(patient: Rig, hook: Hook) -> None:
    kind = fresh("type")
    path = hook.at(f"/{kind}")
    url = f"{SCOPE}/systemTopics/mail/eventSubscriptions/{fresh()}"
    wanted = {
        "destination": webhook(path.url),
        "filter": {"includedEventTypes": [kind]},
    }
    assert patient.http.put(url, params=VERSION, json={"properties": wanted}).status_code == 201
    sent = grid_event(kind, event_time=datetime(2026, 11, 24, 8, tzinfo=UTC))

    patient.publish("mail", sent)

    (event,) = until(path.events, bool)
    assert event.pop("topic").endswith("/providers/Microsoft.EventGrid/systemTopics/mail")
    assert event == {
        "id": str(sent.id),
        "subject": "orders/1",
        "eventType": kind,
        "eventTime": "2026-11-24T08:00:00.000Z",
        "data": {"order_id": "o-1"},
        "dataVersion": "2",
        "metadataVersion": "1",
    }


def test_a_publisher_need_not_name_version_or_type_as_curl_does_not(
    patient: Rig, hook: Hook
) -> None:
    _, kind, path = listening(patient, hook, "grids")

    answer = patient.http.post(
        "/grids/api/events",
        content=json.dumps([raw_grid(eventType=kind)]).encode(),
        headers={"aeg-sas-key": KEY, "content-type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == 200
    assert until(path.ids, bool) == ["1"]


@pytest.mark.conforms(
    "Event Grid",
    "a topic takes events of its own input schema alone: another is a 400",
    source="issue:Azure/azure-sdk-for-python/issues/16055",
)
@pytest.mark.parametrize(
    ("topic", "event"),
    [("clouds", grid_event()), ("grids", cloud()), ("mail", cloud())],
    ids=["clouds", "grids", "mail"],
)
def test_events_of_another_schema_are_refused(patient: Rig, topic: str, event: Any) -> None:
    before = patient.topic(topic)

    with pytest.raises(HttpResponseError) as refused:
        patient.publish(topic, event)

    assert refused.value.status_code == 400
    assert refused.value.error is not None
    assert refused.value.error.code == "BadRequest"
    after = patient.topic(topic)
    assert (after["published"], after["refused"]) == (before["published"], before["refused"] + 1)


@pytest.mark.parametrize(
    "bad",
    [
        *(raw_cloud(**{name: ...}) for name in ("id", "source", "type", "specversion")),
        raw_cloud(id=""),
        raw_cloud(id=7),
        raw_cloud(type=None),
        raw_cloud(specversion="0.3"),
        raw_cloud(time="yesterday"),
        raw_cloud(subject=7),
        raw_cloud(Upper="x"),
        raw_cloud(data={}, data_base64="AA=="),
        raw_cloud(data_base64="!"),
        raw_cloud(id="\ud800"),
        "event",
        None,
        [],
    ],
)
def test_one_bad_cloud_event_refuses_the_whole_batch(patient: Rig, hook: Hook, bad: Any) -> None:
    refuse(patient, hook, "clouds", "application/cloudevents-batch+json", raw_cloud, "type", bad)


@pytest.mark.parametrize(
    "bad",
    [
        *(raw_grid(**{name: ...}) for name in ("id", "subject", "eventType", "eventTime")),
        raw_grid(eventTime="yesterday"),
        raw_grid(dataVersion=1),
        raw_grid(metadataVersion="2"),
        raw_grid(topic="/subscriptions/other"),
        raw_cloud(),
        7,
    ],
)
def test_one_bad_event_of_event_grids_schema_refuses_the_whole_batch(
    patient: Rig, hook: Hook, bad: Any
) -> None:
    refuse(patient, hook, "grids", JSON, raw_grid, "eventType", bad)


def refuse(  # noqa: PLR0917 - two schemas differ in all of this
    rig: Rig, hook: Hook, topic: str, content_type: str, good: Any, attribute: str, bad: Any
) -> None:
    """Assert that a batch with a bad event between good ones changes nothing."""
    name, kind, _ = listening(rig, hook, topic)
    before = rig.topic(topic)["published"]
    batch = [good(**{attribute: kind}), bad, good(**{attribute: kind})]

    answer = rig.post(topic, json.dumps(batch).encode(), content_type=content_type)

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["details"][0]["code"]) == ("BadRequest", "InputJsonInvalid")
    assert rig.topic(topic)["published"] == before
    assert rig.state(topic, name)["matched"] == 0
    rig.drop(topic, name)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1,]",
        b"\xff\xfe",
        b'[{"a": NaN}]',
        b'[{"a": 1e999}]',
        b"[" * 100_000,
        b"[" * 1500 + b"]" * 1500,
        b'"text"',
        b"{}",
        b"null",
    ],
    ids=range(11),
)
def test_what_is_no_array_of_events_changes_nothing(patient: Rig, body: bytes) -> None:
    before = patient.topic("clouds")["published"]

    answer = patient.post("clouds", body)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BadRequest"
    assert patient.topic("clouds")["published"] == before


@pytest.mark.conforms(
    "Event Grid",
    "a request, and an event in it, has at most 1 MB: more is a 413",
    source=POSTING,
)
def test_a_request_may_have_a_megabyte_and_no_more(patient: Rig) -> None:
    frame = len(json.dumps([raw_cloud(data="")]))

    def of(size: int) -> bytes:
        return json.dumps([raw_cloud(data="x" * (size - frame))]).encode()

    before = patient.topic("clouds")["published"]
    refused = patient.post("clouds", of(MEGABYTE + 1))
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "RequestEntityTooLarge"
    assert patient.topic("clouds")["published"] == before
    assert patient.post("clouds", of(MEGABYTE)).status_code == 200
    assert patient.topic("clouds")["published"] == before + 1


def test_a_request_may_hold_5000_events_and_no_more(patient: Rig) -> None:
    def of(count: int) -> bytes:
        return json.dumps([raw_cloud()] * count).encode()

    before = patient.topic("clouds")
    assert patient.post("clouds", of(5001)).status_code == 413
    assert patient.topic("clouds")["published"] == before["published"]

    assert patient.post("clouds", of(5000)).status_code == 200
    after = patient.topic("clouds")
    assert after["published"] == before["published"] + 5000
    assert after["unmatched"] == before["unmatched"] + 5000


def test_what_is_not_the_endpoint_of_a_topic_takes_no_events(patient: Rig) -> None:
    nobody = patient.post("nobody", json.dumps([raw_cloud()]).encode())
    assert nobody.status_code == 404
    assert nobody.json()["error"]["code"] == "ResourceNotFound"

    assert patient.http.get("/clouds/api/events").status_code == 405
    other_version = patient.http.post(
        "/clouds/api/events",
        params={"api-version": "2017-01-01"},
        headers={"aeg-sas-key": KEY},
        json=[],
    )
    assert other_version.status_code == 400


def test_pages_and_names_from_elsewhere_are_turned_away(patient: Rig) -> None:
    """Neither by DNS rebinding nor by a form may a page publish, subscribe, read or renew keys."""
    body = json.dumps([raw_cloud()]).encode()
    before = patient.topic("clouds")
    keys = f"{SCOPE}/topics/clouds"
    kept = patient.http.post(f"{keys}/listKeys", params=VERSION).json()

    for strange in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
        assert patient.http.get("/overview", headers=strange).status_code == 403
        assert patient.post("clouds", body, **strange).status_code == 403
        renewed = patient.http.post(
            f"{keys}/regenerateKey", params=VERSION, headers=strange, json={"keyName": "key1"}
        )
        assert renewed.status_code == 403

    assert patient.topic("clouds") == before
    assert patient.http.post(f"{keys}/listKeys", params=VERSION).json() == kept
