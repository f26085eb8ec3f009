"""Which functions the host takes on, and which it declines."""

from collections.abc import Mapping
from typing import Any

import pytest

from localcloud.functions.catalogue import Function, functions_of
from localcloud.functions.connections import Connections
from localcloud.functions.errors import StartRefused
from localcloud.functions.retries import RetryPolicy
from localcloud.functions.worker import Indexed

TIMER = {"type": "timerTrigger", "name": "timer", "schedule": "%WHEN%"}
HTTP = {"type": "httpTrigger", "name": "req", "authLevel": "ANONYMOUS"}
ANSWER = {"type": "http", "name": "$return", "direction": "OUT"}
CLIENT = {"type": "durableClient", "name": "client"}
BLOB = {"type": "blob", "name": "b", "direction": "IN", "path": "box/{name}"}
BUS = {"type": "serviceBusTrigger", "name": "m", "queueName": "q", "connection": "Bus"}


def indexed(
    name: str, *bindings: Mapping[str, Any], retry: Mapping[str, Any] | None = None
) -> Indexed:
    return Indexed(name=name, function_id=name, bindings=bindings, retry=retry)


def test_functions_come_by_name_with_their_settings_resolved() -> None:
    found = functions_of(
        [indexed("b", TIMER), indexed("A", HTTP, ANSWER, CLIENT)], {"WHEN": "00:01:00"}
    )

    assert found == [
        Function(
            "A",
            "A",
            "httpTrigger",
            "req",
            HTTP,
            ("client",),
            disabled=False,
            bindings=(HTTP, ANSWER, CLIENT),
        ),
        Function(
            "b",
            "b",
            "timerTrigger",
            "timer",
            {**TIMER, "schedule": "00:01:00"},
            (),
            disabled=False,
            bindings=(TIMER,),
        ),
    ]


def test_a_disabled_function_need_not_have_its_settings() -> None:
    (found,) = functions_of([indexed("b", TIMER)], {"AzureWebJobs.b.Disabled": "true"})

    assert found.disabled is True
    assert found.fields["schedule"] == "%WHEN%"


def test_a_durable_name_stands_before_the_functions_own() -> None:
    named = {"type": "activityTrigger", "name": "x", "activity": "Ship It"}
    unnamed = {"type": "orchestrationTrigger", "name": "context"}

    found = functions_of([indexed("ship", named), indexed("work", unnamed)], {})

    assert [function.durable_name for function in found] == ["Ship It", "work"]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (indexed("f"), "function 'f' has 0 triggers"),
        (indexed("f", {"type": "kafkaTrigger", "name": "b"}), "the trigger 'kafkaTrigger'"),
        (
            indexed("f", HTTP, {"type": "table", "name": "out"}),
            "the binding 'table' of 'out' is not offered here",
        ),
        (
            indexed("f", {"type": "blobTrigger", "name": "b", "source": "EventGrid"}),
            "the source 'EventGrid' of a blob trigger is not offered here",
        ),
        (
            indexed("f", HTTP, BLOB | {"properties": {"SupportsDeferredBinding": True}}),
            "SDK types such as BlobClient, which 'b' asks for, are not offered here",
        ),
        (
            indexed("f", HTTP, {"type": "queue", "name": "in", "direction": "IN"}),
            "the binding 'queue' of 'in' is not offered here",
        ),
        (
            indexed("f", {**TIMER, "schedule": "00:01:00"}, retry={"max_retry_count": 1}),
            "retry policy: '' is no strategy",
        ),
    ],
)
def test_what_is_not_offered_is_declined_naming_the_function(
    function: Indexed, reason: str
) -> None:
    with pytest.raises(StartRefused, match="function 'f'") as refused:
        functions_of([function], {})
    assert reason in str(refused.value)


def test_a_retry_policy_counts_for_timers_alone() -> None:
    stated: dict[str, Any] = {"retry_strategy": "fixed_delay", "strategy": "fixed_delay"}
    stated |= {"max_retry_count": 3, "delay_interval": "0:00:05"}

    found = functions_of(
        [indexed("b", TIMER, retry=stated), indexed("h", HTTP, retry=stated)],
        {"WHEN": "00:01:00"},
    )

    assert [function.retry for function in found] == [RetryPolicy(3, 5.0, 5.0), None]


async def test_a_namespace_setting_asks_for_an_identity() -> None:
    connections = Connections({"Bus__fullyQualifiedNamespace": "shop.servicebus.windows.net"})

    client = connections.client("Bus", function="f")

    assert client.fully_qualified_namespace == "shop.servicebus.windows.net"
    assert connections.client("Bus", function="g") is client
    await connections.close()


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "neither the setting 'Bus' nor 'Bus__fullyQualifiedNamespace' is set"),
        ({"Bus": "Endpoint=nonsense"}, "the setting 'Bus' is no connection string"),
    ],
)
def test_an_unusable_connection_is_declined(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(StartRefused, match="function 'f'") as refused:
        Connections(environ).client("Bus", function="f")
    assert reason in str(refused.value)
