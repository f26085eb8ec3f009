"""Hands Service Bus messages to a function, one at a time or as a batch."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage

from localcloud.functions.catalogue import Function
from localcloud.functions.errors import StartRefused
from localcloud.functions.execution import Executor, Outcome
from localcloud.functions.inputs import BY_HAND, Inputs
from localcloud.functions.messages import (
    body_of,
    metadata_of,
    metadata_of_many,
    properties_of,
    value_of,
)
from localcloud.functions.protos import Collection, TraceContext, TypedData
from localcloud.functions.tracing import trace_context


class Delivery:
    """The way from a queue or a subscription into one function."""

    def __init__(self, function: Function, executor: Executor, inputs: Inputs) -> None:
        self.function, self.entity = function, entity_of(function)
        self._executor, self._inputs = executor, inputs
        self._data_type = str(function.fields.get("dataType", "")).upper()

    async def one(self, message: ServiceBusReceivedMessage) -> Outcome:
        """Run the function on a message."""
        properties = properties_of(message)
        return await self._executor.execute(
            self.function,
            self._inputs.of(self.function, value_of(message, self._data_type)),
            trace=_trace_of(properties),
            metadata=metadata_of(message, properties),
            reason=f"message {message.message_id} of {self.entity}",
        )

    async def many(self, messages: Sequence[ServiceBusReceivedMessage]) -> Outcome:
        """Run the function once, on all of them."""
        bodies = Collection([body_of(message) for message in messages])
        return await self._executor.execute(
            self.function,
            self._inputs.of(self.function, TypedData(collection_bytes=bodies)),
            trace=trace_context(None),
            metadata=metadata_of_many(messages),
            reason=f"{len(messages)} messages of {self.entity}",
        )

    async def by_hand(self, text: str) -> Outcome:
        """Run the function on a message that never was in a queue."""
        value, suffix, nothing = TypedData(string=text), "", "{}"
        if takes_many(self.function):
            value = TypedData(collection_bytes=Collection([text.encode()]))
            suffix, nothing = "Array", json.dumps([{}])
        metadata = {
            f"{name}{suffix}": TypedData(json=nothing)
            for name in ("UserProperties", "ApplicationProperties")
        }
        return await self._executor.execute(
            self.function,
            self._inputs.of(self.function, value),
            trace=trace_context(None),
            metadata=metadata,
            reason=BY_HAND,
        )


def _trace_of(properties: Mapping[str, Any]) -> TraceContext:
    """The sender's trace: as Azure's SDKs write it, `traceparent` first, then the older name."""
    if "traceparent" in properties:
        return trace_context(str(properties["traceparent"]), str(properties.get("tracestate", "")))
    return trace_context(str(properties.get("Diagnostic-Id", "")))


def takes_many(function: Function) -> bool:
    """Whether its trigger has the cardinality MANY."""
    return str(function.fields.get("cardinality", "ONE")).upper() == "MANY"


def entity_of(function: Function) -> str:
    """`queue` or `topic/subscription`. StartRefused when the trigger names neither."""
    fields = function.fields
    if fields.get("queueName"):
        return str(fields["queueName"])
    if fields.get("topicName") and fields.get("subscriptionName"):
        return f"{fields['topicName']}/{fields['subscriptionName']}"
    raise StartRefused(f"function {function.name!r} names no queue and no subscription")
