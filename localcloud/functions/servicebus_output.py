"""Service Bus outputs: a queue, or a topic."""

import asyncio

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusSender

from localcloud.functions import running
from localcloud.functions.catalogue import Binding, Function
from localcloud.functions.connections import Connections
from localcloud.functions.errors import StartRefused
from localcloud.functions.expressions import Facts
from localcloud.functions.outputs import messages_of
from localcloud.functions.protos import TypedData
from localcloud.functions.tracing import trace_context


class ServiceBusOutput:
    """Sends to queues and topics. See `outputs.Destination`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._senders: dict[tuple[str, str], ServiceBusSender] = {}
        self._one_at_a_time: dict[tuple[str, str], asyncio.Lock] = {}

    def check(self, output: Binding, function: Function) -> None:
        """StartRefused when it names no queue and no topic, or its connection is not set."""
        _address(output, function)
        self._connections.client(output.connection, function=function.name)

    async def send(
        self, output: Binding, function: Function, value: TypedData, _facts: Facts
    ) -> None:
        """Send one message, or one for each element of a JSON array, together."""
        place = output.connection, _address(output, function)
        lock = self._one_at_a_time.setdefault(place, asyncio.Lock())
        async with lock:  # the SDK's sender is for one task at a time
            if place not in self._senders:
                connection, address = place
                client = self._connections.client(connection, function=function.name)
                # To a sender, a topic is what a queue is: an address.
                self._senders[place] = client.get_queue_sender(address)
            await self._senders[place].send_messages(
                [_message(body) for body in messages_of(value)]
            )

    async def close(self) -> None:
        """Hang up, everywhere at once: each takes the SDK half a second."""
        await asyncio.gather(*(sender.close() for sender in self._senders.values()))


def _message(body: str | bytes) -> ServiceBusMessage:
    """A message that carries the trace of the function, as Azure's SDK writes it."""
    function = running.current.get()
    if function is None:
        return ServiceBusMessage(body)
    span = trace_context(function.trace_parent).trace_parent
    return ServiceBusMessage(
        body, application_properties={"Diagnostic-Id": span, "traceparent": span}
    )


def _address(output: Binding, function: Function) -> str:
    address = output.fields.get("queueName") or output.fields.get("topicName")
    if not address:
        raise StartRefused(
            f"function {function.name!r}: the output {output.name!r} names no queue and no topic"
        )
    return str(address)
