"""One broker for all tests of the SDKs, with a topic of its own for each test."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage

from localcloud.tests.servicebus.javascript import features
from localcloud.tests.servicebus.rig import (
    BrokerProcess,
    running,
    sql_rule,
    subscription,
    write_topology,
)
from localcloud.tests.servicebus.sdk import Pair, Sdk

FAMILIES = ("messages.mjs", "sessions.mjs", "entities.mjs", "rules.mjs", "administration.mjs")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
SHORT_LOCK = "PT0.6S"
SDKS = ("sync", "aio")
PAIRS = {"plain": 16, "hasty": 5}
"""How many topics of each kind are opened for each SDK; `hasty` ones have short locks."""


def _topics() -> dict[str, list[dict[str, Any]]]:
    topics = {"wire": [subscription()], "wire-hasty": [subscription(LockDuration=SHORT_LOCK)]}
    for sdk in SDKS:
        for number in range(PAIRS["plain"]):
            topics[f"plain-{sdk}-{number}"] = [subscription(MaxDeliveryCount=3)]
        for number in range(PAIRS["hasty"]):
            hasty = subscription(MaxDeliveryCount=3, LockDuration=SHORT_LOCK)
            topics[f"hasty-{sdk}-{number}"] = [hasty]
        topics[f"routes-{sdk}"] = [
            subscription("all"),
            subscription(
                "either",
                [
                    {"Label": "order", "Properties": {"kind": "a"}},
                    {"CorrelationId": "c-1"},
                    {"SessionId": "s-1"},
                ],
            ),
            subscription("none", [{"Properties": {"kind": "nothing sends this"}}]),
        ]
        topics[f"fleeting-{sdk}"] = [
            subscription("kept", DeadLetteringOnMessageExpiration=True),
            subscription("dropped", DefaultMessageTimeToLive="PT0.5S"),
        ]
    topics["relay"] = [subscription("on", [{"Label": "go"}], ForwardTo="goal"), subscription()]
    topics["sql"] = [
        {
            "Name": "large",
            "Rules": [
                sql_rule("vip", "vip = TRUE", "SET sys.Label = 'vip'; SET rank = n * 2; REMOVE x"),
                sql_rule("large", "n >= 100 AND sys.Label LIKE 'order%'"),
                sql_rule("huge", "n >= 1000"),
            ],
        }
    ]
    topics["in-sessions"] = [subscription(RequiresSession=True)]
    topics["js-rules"] = [subscription("some")]
    topics["js-filters"] = [
        subscription(),
        subscription("correlated", [{"Label": "order", "Properties": {"kind": "a"}}]),
        {"Name": "large", "Rules": [sql_rule("large", "n >= 100", "SET rank = n * 2")]},
    ]
    return topics


def _queues() -> dict[str, dict[str, Any]]:
    queues: dict[str, dict[str, Any]] = {}
    for sdk in SDKS:
        queues |= {f"queue-{sdk}": {}, f"sessions-{sdk}": {"RequiresSession": True}}
    return queues | {
        "deferred": {"MaxDeliveryCount": 2},
        "deferred-too": {},
        "unique": {"RequiresDuplicateDetection": True},
        "goal": {},
        "forwarding": {"ForwardTo": "goal"},
        "circle": {"ForwardTo": "circle-too"},
        "circle-too": {"ForwardTo": "circle"},
        "quotas": {},
        "morgue": {},
        "mortal": {"MaxDeliveryCount": 1, "ForwardDeadLetteredMessagesTo": "morgue"},
        "next-session": {"RequiresSession": True},
        "session-lost": {"RequiresSession": True, "LockDuration": SHORT_LOCK},
        "session-state": {"RequiresSession": True},
        "session-busy": {"RequiresSession": True},
        "session-list": {"RequiresSession": True},
        **_javascript_queues(),
    }


def _javascript_queues() -> dict[str, dict[str, Any]]:
    """A queue for each feature that the JavaScript SDK is tried with."""
    plain = ("send", "batch", "dead-letter", "defer", "peek", "schedule", "delete", "pump")
    sessions = ("sessions", "state", "no-sessions", "session-pump")
    queues: dict[str, dict[str, Any]] = {f"js-{name}": {} for name in plain}
    queues |= {f"js-{name}": {"RequiresSession": True} for name in sessions}
    return queues | {
        "js-abandon": {"MaxDeliveryCount": 3},
        "js-locks": {"LockDuration": "PT3S"},
        "js-unique": {"RequiresDuplicateDetection": True},
        "js-fleeting": {
            "DefaultMessageTimeToLive": "PT1H",
            "DeadLetteringOnMessageExpiration": True,
        },
        "js-forwarding": {"ForwardTo": "js-goal"},
        "js-goal": {},
        "js-to-python": {},
        "js-from-python": {},
    }


@pytest.fixture(scope="session")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_topology(
        tmp_path_factory.mktemp("servicebus") / "topology.json", _topics(), _queues()
    )


@pytest.fixture(scope="session")
def broker(topology: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    state = tmp_path_factory.mktemp("servicebus-state")
    with running(topology, state, "--admin-port", "0") as process:
        yield process
        assert process.process.poll() is None, "the broker died during the tests"


@pytest.fixture(scope="session", params=SDKS)
async def sdk(request: pytest.FixtureRequest, broker: BrokerProcess) -> AsyncIterator[Sdk]:
    opened = Sdk(broker.connection_string(), synchronous=request.param == "sync")
    await opened.prepare(
        f"{kind}-{request.param}-{number}"
        for kind, count in PAIRS.items()
        for number in range(count)
    )
    yield opened
    await opened.close()


@pytest.fixture
def plain(sdk: Sdk) -> Pair:
    return sdk.take("plain")


@pytest.fixture
def hasty(sdk: Sdk) -> Pair:
    return sdk.take("hasty")


@pytest.fixture
def routes_topic(sdk: Sdk) -> str:
    return f"routes-{sdk.name}"


@pytest.fixture
def fleeting_topic(sdk: Sdk) -> str:
    return f"fleeting-{sdk.name}"


@pytest.fixture(scope="session")
async def seen(broker: BrokerProcess) -> dict[str, Any]:
    """What every feature of the JavaScript SDK reported; one program runs all of them at once."""
    sdk = Sdk(broker.connection_string(), synchronous=False)
    sender = await sdk.queue_sender("js-from-python")
    properties: dict[str | bytes, Any] = {
        "text": "grün",
        "yes": True,
        "whole": 7,
        "half": 1.5,
        "moment": MOMENT,
        "id": UUID(int=7),
    }
    await sender.send_messages(
        [
            ServiceBusMessage(b'{"a": [1, null]}', application_properties=properties),
            ServiceBusMessage(b"\x00\xff"),
            AmqpAnnotatedMessage(value_body=42),
            AmqpAnnotatedMessage(value_body={"moment": "now", "list": ["a"]}),
        ]
    )
    await sdk.close()
    settings = {
        "ADMINISTRATION": broker.admin_connection_string(),
        "NODE_EXTRA_CA_CERTS": str(broker.certificate),
    }
    return await features(broker.connection_string(), *FAMILIES, settings=settings)
