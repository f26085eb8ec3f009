"""Clients of a broker that keeps dying, and what they saw: one of Python, one of JavaScript."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusError

from localcloud.tests.servicebus.javascript import node
from localcloud.tests.servicebus.rig import BrokerProcess

PATIENT: dict[str, Any] = {
    "retry_total": 20,
    "retry_backoff_factor": 0.05,
    "retry_backoff_max": 0.2,
}
PATIENCE_S = 60.0


@dataclass
class Summary:
    """What a client saw: how much was acknowledged and completed, what was lost or came again."""

    acknowledged: int
    completed: int
    lost: list[int]
    returned: list[int]


@dataclass
class PythonClient:
    """Sends to topic `t` and completes what subscription `all` gets, over every death."""

    broker: Callable[[], BrokerProcess]
    acknowledged: set[int] = field(default_factory=set)
    delivered: Counter[int] = field(default_factory=Counter)
    completed: set[int] = field(default_factory=set)
    returned: list[int] = field(default_factory=list)
    stop: bool = False
    goal: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def acknowledge(self, more: int) -> None:
        """Return once so many more messages are acknowledged."""
        self.goal = len(self.acknowledged) + more
        self.reached.clear()
        async with asyncio.timeout(PATIENCE_S):
            await self.reached.wait()

    def client(self) -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(self.broker().connection_string(), **PATIENT)

    async def run(self) -> Summary:
        """Send and receive until told to stop; what was seen in all."""
        await asyncio.gather(self._send(), self._receive())
        lost = sorted(self.acknowledged - self.delivered.keys())
        return Summary(len(self.acknowledged), len(self.completed), lost, self.returned)

    async def _send(self) -> None:
        number = 0
        async with self.client() as service, service.get_topic_sender("t") as sender:
            while not self.stop:
                with contextlib.suppress(ServiceBusError):
                    await sender.send_messages(ServiceBusMessage(f"{number}"))
                    self.acknowledged.add(number)
                if len(self.acknowledged) >= self.goal:
                    self.reached.set()
                number += 1

    async def _receive(self) -> None:
        while True:
            with contextlib.suppress(ServiceBusError, OSError):
                async with (
                    self.client() as service,
                    service.get_subscription_receiver("t", "all") as receiver,
                ):
                    while True:
                        messages = await receiver.receive_messages(50, max_wait_time=1)
                        if self.stop and not messages:
                            return
                        for message in messages:
                            await self._complete(receiver, message)

    async def _complete(self, receiver: Any, message: Any) -> None:
        sequence = message.sequence_number
        self.delivered[int(str(message))] += 1
        if sequence in self.completed:
            self.returned.append(sequence)
        await receiver.complete_message(message)
        self.completed.add(sequence)


class JavascriptClient:
    """The same over queue `q`, by a program of its own."""

    def __init__(self, program: asyncio.subprocess.Process) -> None:
        self._program = program
        self._acknowledged = 0

    @classmethod
    async def started(cls, broker: BrokerProcess) -> "JavascriptClient":
        return cls(await node("kills.mjs", broker.connection_string()))

    async def acknowledge(self, more: int) -> None:
        """Return once so many more messages are acknowledged."""
        goal = self._acknowledged + more
        while self._acknowledged < goal:
            self._acknowledged = (await self._line())["acknowledged"]

    async def finish(self) -> Summary:
        """Let it receive what is left; what it saw in all."""
        assert self._program.stdin is not None
        self._program.stdin.close()
        last: dict[str, Any] = {}
        while line := await self._line():
            last = line
        assert await self._program.wait() == 0
        return Summary(**last)

    async def _line(self) -> dict[str, Any]:
        """The next line of the program; empty once it has ended."""
        assert self._program.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self._program.stdout.readline()
        return dict(json.loads(line)) if line else {}
