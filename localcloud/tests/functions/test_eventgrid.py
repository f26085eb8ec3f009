"""The Event Grid webhook and output, over HTTP."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from localcloud.cloud import LocalCloud
from localcloud.functions.catalogue import Binding, Function
from localcloud.functions.errors import StartRefused
from localcloud.functions.eventgrid_output import EventGridOutput
from localcloud.tests.functions.running_host import eventually
from localcloud.tests.functions.stores import Stores, serving

PATH = "/runtime/webhooks/EventGrid"


def event(number: int, **data: Any) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "topic": "/subscriptions/x",
        "subject": f"orders/{number}",
        "eventType": "order.placed",
        "eventTime": "2026-11-24T08:00:00.1234567Z",
        "dataVersion": "1.0",
        "data": data,
    }


def deliver(
    stores: Stores, kind: str, body: Any, *, function: str = "hear", code: str | None = None
) -> httpx.Response:
    keys = stores.host.keys["system"]
    return stores.host.http.post(
        PATH,
        params={"functionName": function, "code": code or keys["eventgrid_extension"]},
        headers={"aeg-event-type": kind},
        json=body,
    )


@pytest.mark.conforms(
    "Event Grid",
    "a SubscriptionValidation is answered with its validationCode",
    source="net-sdk:sdk/eventgrid/Microsoft.Azure.WebJobs.Extensions.EventGrid/src/TriggerBinding/HttpRequestProcessor.cs",
)
@pytest.mark.parametrize(
    "body",
    [
        [event(1, validationCode="512d38b6")],
        {"specversion": "1.0", "id": "e1", "data": json.dumps({"validationCode": "512d38b6"})},
    ],
)
def test_a_subscription_is_confirmed_with_its_code(stores: Stores, body: Any) -> None:
    answer = deliver(stores, "SubscriptionValidation", body)

    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "512d38b6"})
    assert stores.noted("heard", id="e1") == []


@pytest.mark.conforms(
    "Event Grid",
    "each event of a Notification runs the function; the answer is 202",
    source="net-sdk:sdk/eventgrid/Microsoft.Azure.WebJobs.Extensions.EventGrid/src/TriggerBinding/HttpRequestProcessor.cs",
)
def test_each_event_runs_the_function_once(stores: Stores) -> None:
    answer = deliver(stores, "Notification", [event(10, order=7), event(11)])

    assert (answer.status_code, answer.content) == (202, b"")
    assert stores.noted("heard", id="e10") == [
        {
            "id": "e10",
            "type": "order.placed",
            "subject": "orders/10",
            "data": {"order": 7},
        }
    ]
    assert len(stores.noted("heard", id="e11")) == 1


@pytest.mark.conforms(
    "Event Grid",
    "the events of a Notification run in parallel",
    source="net-sdk:sdk/eventgrid/Microsoft.Azure.WebJobs.Extensions.EventGrid/src/TriggerBinding/HttpRequestProcessor.cs",
)
def test_events_of_one_request_run_side_by_side(stores: Stores) -> None:
    """Each waits for the other: one after the other would never end."""
    answer = deliver(stores, "Notification", [event(20, beside=["e21"]), event(21, beside=["e20"])])

    assert answer.status_code == 202


@pytest.mark.conforms(
    "Event Grid",
    "one event that fails makes the answer a 500, so that Event Grid delivers again",
    source="net-sdk:sdk/eventgrid/Microsoft.Azure.WebJobs.Extensions.EventGrid/src/TriggerBinding/HttpRequestProcessor.cs",
)
def test_one_event_that_fails_makes_the_request_fail(stores: Stores) -> None:
    answer = deliver(stores, "Notification", [event(30), event(31, do="fail")])

    assert answer.status_code == 500
    assert len(stores.noted("heard", id="e30")) == 1


@pytest.mark.conforms(
    "Event Grid",
    "an unknown function is a 404, an Unsubscribe a 202, any other kind of request a 400",
    source="net-sdk:sdk/eventgrid/Microsoft.Azure.WebJobs.Extensions.EventGrid/src/TriggerBinding/HttpRequestProcessor.cs",
)
def test_what_is_no_event_is_refused(stores: Stores) -> None:
    heard = len(stores.notes("heard"))

    assert deliver(stores, "Unsubscribe", []).status_code == 202
    assert deliver(stores, "SomethingElse", [event(40)]).status_code == 400
    assert deliver(stores, "SubscriptionValidation", []).status_code == 400
    unknown = deliver(stores, "Notification", [event(40)], function="nobody")
    assert (unknown.status_code, unknown.text) == (404, "cannot find function: 'nobody'")
    assert deliver(stores, "Notification", [event(40)], function="work").status_code == 404
    assert deliver(stores, "Notification", [event(40)], code="wrong").status_code == 401
    broken = stores.host.http.post(
        PATH,
        params={"functionName": "hear", "code": stores.host.keys["master"]},
        headers={"aeg-event-type": "Notification"},
        content=b"{",
    )
    assert broken.status_code == 400
    assert len(stores.notes("heard")) == heard


def test_a_cloud_event_names_the_blob_that_an_input_reads(stores: Stores) -> None:
    url = stores.container("clouds").upload_blob("a b.txt", "cumulus").url
    cloud_event = {
        "specversion": "1.0",
        "id": "c1",
        "type": "Microsoft.Storage.BlobCreated",
        "source": "/storage",
        "data": {"url": url},
    }

    answer = deliver(stores, "Notification", cloud_event, function="hear_cloud")

    assert answer.status_code == 202
    (seen,) = stores.noted("heard_cloud", id="c1")
    assert (seen["type"], seen["blob"]) == ("Microsoft.Storage.BlobCreated", "cumulus")


def test_an_endpoint_of_cloud_events_says_that_it_wants_them(stores: Stores) -> None:
    """CloudEvents, "HTTP 1.1 Web Hooks", 4: "Abuse Protection"."""
    params = {
        "functionName": "hear_cloud",
        "code": stores.host.keys["system"]["eventgrid_extension"],
    }
    origin = {"WebHook-Request-Origin": "eventgrid.azure.net"}

    allowed = stores.host.http.request("OPTIONS", PATH, params=params, headers=origin)

    assert allowed.status_code == 200
    assert allowed.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    assert allowed.headers["WebHook-Allowed-Rate"] == "*"
    assert stores.host.http.request("OPTIONS", PATH, params=params).status_code == 400


def test_an_event_function_runs_by_hand(stores: Stores) -> None:
    stores.host.fire("hear", json.dumps(event(50)))

    eventually(lambda: len(stores.noted("heard", id="e50")) == 1)


@pytest.mark.conforms(
    "Event Grid",
    "topicEndpointUri and topicKeySetting name the settings that hold the endpoint and the key",
    source="learn:azure/azure-functions/functions-bindings-event-grid-output",
)
@pytest.mark.parametrize("count", [1, 2])
def test_an_output_posts_its_events_to_the_topic(stores: Stores, count: int) -> None:
    before = len(stores.topic.requests)

    answer = stores.host.http.post("/api/announce", params={"count": count})

    assert answer.text == "announced"
    ((path, headers, events),) = stores.topic.requests[before:]
    assert path == "/api/events?api-version=2018-01-01"
    assert headers["aeg-sas-key"] == "the topic's key"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert len(events) == count
    assert (events[0]["subject"], events[0]["eventType"]) == ("orders/7", "order.placed")
    assert events[0]["data"] == {"order": 7}


def test_cloud_events_travel_under_their_own_type(stores: Stores) -> None:
    cloud_event = {"specversion": "1.0", "id": "1", "type": "t", "source": "/s"}

    stores.host.http.post("/api/announce_text", json=cloud_event)

    _, headers, events = stores.topic.requests[-1]
    assert headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    assert events == [cloud_event]


def test_a_topic_that_is_busy_is_asked_again_and_one_that_refuses_fails_the_function(
    stores: Stores,
) -> None:
    def announce(body: bytes = b'{"id": "1"}') -> int:
        return stores.host.http.post("/api/announce_text", content=body).status_code

    stores.topic.answers[:] = [503]
    assert announce() == 200

    asked = len(stores.topic.requests)
    stores.topic.answers[:] = [401]
    assert announce() == 500
    assert len(stores.topic.requests) == asked + 1
    assert "the topic answered 401" in stores.host.log

    assert announce(b"no event") == 500
    assert announce(b"[1]") == 500
    assert len(stores.topic.requests) == asked + 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"connection": "Topic"}, "asks for an identity by its connection, which is not offered"),
        ({"topicEndpointUri": "URI", "topicKeySetting": "KEY"}, "'KEY' is not set"),
        ({"topicEndpointUri": "NO_URI", "topicKeySetting": "KEY"}, "'NO_URI' is not set"),
    ],
)
def test_an_output_that_leads_nowhere_is_refused(fields: dict[str, str], reason: str) -> None:
    output = Binding("out", {"type": "eventGrid", **fields})
    function = Function("f", "f", "httpTrigger", "req", {}, (), disabled=False, outputs=(output,))

    with pytest.raises(StartRefused, match="function 'f'") as refused:
        EventGridOutput({"URI": "http://localhost"}).check(output, function)
    assert reason in str(refused.value)


def test_without_keys_the_webhook_is_open(azurite: LocalCloud, tmp_path: Path) -> None:
    with serving(azurite, tmp_path, "--function", "hear", "--no-require-keys") as stores:
        answer = stores.host.http.post(
            PATH.lower(),
            params={"functionName": "hear"},
            headers={"aeg-event-type": "Notification"},
            json=[event(60)],
        )
        assert answer.status_code == 202
        assert (
            f"hear: eventGridTrigger http://127.0.0.1:{stores.host.port}{PATH}" in stores.host.log
        )
