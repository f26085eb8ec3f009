"""Output bindings: what a function leaves behind for a Service Bus queue or topic."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusSender

from localcloud.functions.catalogue import Function, Output
from localcloud.functions.connections import Connections
from localcloud.functions.errors import StartRefused
from localcloud.functions.protos import ParameterBinding, TypedData

RETURN = "$return"


class Outputs:
    """Sends what functions put out, before their own trigger counts as done."""

    def __init__(self, functions: Sequence[Function], connections: Connections) -> None:
        """StartRefused naming a function whose output leads nowhere."""
        self._connections = connections
        self._senders: dict[tuple[str, str], ServiceBusSender] = {}
        self._one_at_a_time: dict[tuple[str, str], asyncio.Lock] = {}
        for function in functions:
            for output in function.outputs if not function.disabled else ():
                connections.client(_place(output, function)[0], function=function.name)

    async def send(
        self, function: Function, returned: TypedData | None, data: Sequence[ParameterBinding]
    ) -> None:
        """Send all that one execution put out. Raises what the SDK raises when it cannot."""
        given = {binding.name: binding.data for binding in data}
        given[RETURN] = returned
        for output in function.outputs:
            value = given.get(output.name)
            if value is not None and value.kind is not None:
                await self._send(_place(output, function), messages_of(value), function.name)

    async def _send(
        self, place: tuple[str, str], bodies: Sequence[str | bytes], function: str
    ) -> None:
        lock = self._one_at_a_time.setdefault(place, asyncio.Lock())
        async with lock:  # the SDK's sender is for one task at a time
            if place not in self._senders:
                connection, address = place
                client = self._connections.client(connection, function=function)
                # To a sender, a topic is what a queue is: an address.
                self._senders[place] = client.get_queue_sender(address)
            await self._senders[place].send_messages([ServiceBusMessage(body) for body in bodies])

    async def close(self) -> None:
        """Hang up, everywhere at once: each takes the SDK half a second."""
        await asyncio.gather(*(sender.close() for sender in self._senders.values()))


def messages_of(value: TypedData) -> list[str | bytes]:
    """One message, or one for each element when `value` is a JSON array.

    Azure's host reads a returned text so: https://github.com/Azure/azure-functions-host,
    FunctionBinding.ReadAsCollection.
    """
    if isinstance(value.value, bytes):
        return [value.value]
    text = str(value.value)
    if not text.lstrip().startswith("["):
        return [text]
    try:
        elements: list[Any] = json.loads(text)
    except ValueError:
        return [text]
    return [_text(element) for element in elements]


def _text(element: Any) -> str:
    if isinstance(element, str):
        return element
    return json.dumps(element, ensure_ascii=False, separators=(",", ":"))


def _place(output: Output, function: Function) -> tuple[str, str]:
    """Connection setting and address. StartRefused when the binding names no queue and no topic."""
    address = output.fields.get("queueName") or output.fields.get("topicName")
    if not address:
        raise StartRefused(
            f"function {function.name!r}: the output {output.name!r} names no queue and no topic"
        )
    return str(output.fields.get("connection", "")), str(address)
