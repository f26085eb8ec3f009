"""The topology file: what the project ships, and what is refused, by its place."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from localcloud.eventgrid.elements import SpecRefused
from localcloud.eventgrid.topology import load_topology, parse_topology
from localcloud.tests.eventgrid.rig import DEAD_LETTERS, MODULE, QUEUE_ID, topology, webhook

SHIPPED = Path(__file__).parents[3] / "infra" / "eventgrid.topology.json"
BUS = Path(__file__).parents[3] / "infra" / "servicebus.topology.json"
QUEUE = {"endpointType": "ServiceBusQueue", "properties": {"resourceId": f"{QUEUE_ID}q"}}


def declared(**properties: Any) -> str:
    """A topic `t-1` with a subscription `sub` of these properties."""
    entry = {"name": "sub", "properties": {"destination": QUEUE, **properties}}
    return json.dumps({"topics": [{"name": "t-1", "eventSubscriptions": [entry]}]})


def test_the_shipped_file_leads_to_queues_that_exist() -> None:
    shipped = load_topology(SHIPPED)
    (namespace,) = json.loads(BUS.read_text("utf-8"))["UserConfig"]["Namespaces"]
    queues = {queue["Name"]: queue.get("Properties", {}) for queue in namespace["Queues"]}

    assert [(topic.name, topic.schema, topic.topic_type) for topic in shipped.topics] == [
        ("platform-events", "CloudEventSchemaV1_0", None),
        ("communication", "EventGridSchema", "Microsoft.Communication.CommunicationServices"),
    ]
    routes = [
        (s.topic, s.filter.words(), s.destination.kind, s.destination.name, s.container)
        for s in shipped.subscriptions
    ]
    reports = (
        "type is Microsoft.Communication.EmailDeliveryReportReceived"
        " or Microsoft.Communication.SMSDeliveryReportReceived"
    )
    dead = "eventgrid-dead-letters"
    assert routes == [
        ("platform-events", "type is order.stuck.v1", "ServiceBusQueue", "attention", dead),
        ("communication", reports, "ServiceBusQueue", "delivery-reports", dead),
    ]
    for name in ("attention", "delivery-reports"):
        assert queues[name].get("RequiresSession", False) is False


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not JSON"),
        ("[]", "topology must be an object"),
        ('{"topic": []}', "topology: topic is not known"),
        ('{"topics": [{"name": "a b"}]}', "topology.topics[0].name 'a b' is no valid name"),
        ('{"topics": [{"name": "t-1", "properties": {"inputSchema": "X"}}]}', "inputSchema must"),
        ('{"topics": [{"name": "t-1"}, {"name": "T-1"}]}', "T-1 is declared twice"),
        ('{"systemTopics": [{"name": "t-1", "properties": {}}]}', "topicType is missing"),
        (declared(destination={}), "t-1/sub.properties.destination.endpointType is missing"),
        (
            declared(destination={"endpointType": "EventHub", "properties": {}}),
            "endpointType must be one of WebHook, AzureFunction, ServiceBusQueue, ServiceBusTopic",
        ),
        (
            declared(destination=QUEUE | {"properties": {"resourceId": "/queues/q"}}),
            "resourceId must end with /providers/Microsoft.ServiceBus/namespaces/<namespace>",
        ),
        (
            declared(destination=webhook("http://example.org/hook")),
            "endpointUrl must be https, or http on this machine",
        ),
        (declared(destination=webhook("https://e.org", maxEventsPerBatch=5001)), "1 and 5000"),
        (declared(retryPolicy={"maxDeliveryAttempts": 31}), "must lie between 1 and 30, not 31"),
        (declared(retryPolicy={"eventTimeToLiveInMinutes": 0}), "must lie between 1 and 1440"),
        (declared(retryPolicy={"maxDeliveryAttempts": True}), "must be a whole number"),
        (declared(retryPolicy={"tries": 1}), "t-1/sub.properties.retryPolicy: tries is not known"),
        (declared(eventDeliverySchema="CustomInputSchema"), "eventDeliverySchema must be one of"),
        (declared(expirationTimeUtc="soon"), "expirationTimeUtc 'soon' is no time"),
        (declared(deadLetterDestination={"endpointType": "Queue"}), "must be one of StorageBlob"),
        (declared(unknown=1), "t-1/sub.properties: unknown is not known"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(text: str, sentence: str) -> None:
    with pytest.raises(SpecRefused) as refused:
        parse_topology(text)
    assert sentence in str(refused.value)


@pytest.mark.conforms(
    "Event Grid",
    "SessionId and MessageId of a Service Bus message are not set both; aeg- names are reserved",
    source="learn:azure/event-grid/delivery-properties",
)
@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["SessionId", "MessageId"], "may set SessionId or MessageId, not both"),
        (["aeg-id"], "must not begin with aeg-"),
        ([f"x{number}" for number in range(11)], "deliveryAttributeMappings holds more than 10"),
    ],
)
def test_delivery_attributes_that_azure_refuses(names: list[str], sentence: str) -> None:
    mappings = [
        {"name": name, "type": "Dynamic", "properties": {"sourceField": "data.x"}} for name in names
    ]
    properties = QUEUE["properties"] | {"deliveryAttributeMappings": mappings}  # type: ignore[operator]

    with pytest.raises(SpecRefused) as refused:
        parse_topology(declared(destination=QUEUE | {"properties": properties}))
    assert sentence in str(refused.value)


def test_comments_are_allowed_and_strings_keep_their_slashes() -> None:
    text = declared(filter={"subjectBeginsWith": "https://x"}).replace("{", "{ // why\n", 1)

    (subscription,) = parse_topology(text).subscriptions

    assert subscription.filter.begins == "https://x"


@pytest.mark.conforms(
    "Event Grid",
    "events published as CloudEvents are delivered as CloudEvents only",
    source="learn:azure/event-grid/event-schema",
)
def test_cloud_events_are_not_delivered_in_another_schema() -> None:
    entry = {
        "name": "sub",
        "properties": {"destination": QUEUE, "eventDeliverySchema": "EventGridSchema"},
    }
    topic = {
        "name": "t-1",
        "properties": {"inputSchema": "CloudEventSchemaV1_0"},
        "eventSubscriptions": [entry],
    }

    with pytest.raises(SpecRefused, match="must be that of the topic"):
        parse_topology(json.dumps({"topics": [topic]}))


@pytest.mark.parametrize(
    ("properties", "option"),
    [
        ({"destination": QUEUE}, "--servicebus"),
        (
            {
                "destination": webhook("https://e.org"),
                "deadLetterDestination": DEAD_LETTERS,
            },
            "--storage",
        ),
    ],
)
def test_what_does_not_run_here_refuses_to_start(
    tmp_path: Path, properties: dict[str, Any], option: str
) -> None:
    file = topology(tmp_path / "t.json", clouds=[{"name": "sub", "properties": properties}])

    command = [sys.executable, "-m", MODULE, "--port", "0", "--state", str(tmp_path / "state")]
    ended = subprocess.run(
        [*command, "--topology", str(file)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"Error: clouds/sub: start with {option} to use it\n"
