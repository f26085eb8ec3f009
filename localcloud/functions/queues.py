"""Queue storage triggers: each message of a queue runs a function."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from localcloud.functions.accounts import Accounts
from localcloud.functions.catalogue import Function
from localcloud.functions.errors import StartRefused
from localcloud.functions.execution import Executor, Outcome
from localcloud.functions.inputs import Inputs
from localcloud.functions.polling import Poller
from localcloud.functions.queue_messages import body_of, metadata_by_hand, metadata_of, value_of
from localcloud.functions.storage_options import QueueOptions
from localcloud.functions.tracing import trace_context

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage


class QueueDelivery:
    """The way from a queue into one function."""

    def __init__(
        self, function: Function, executor: Executor, inputs: Inputs, *, is_base64: bool
    ) -> None:
        self.function, self.queue = function, queue_of(function)
        self._executor, self._inputs, self._is_base64 = executor, inputs, is_base64
        self._data_type = str(function.fields.get("dataType", ""))

    async def one(self, message: "QueueMessage") -> Outcome:
        """Run the function on a message. Malformed when its encoding is another."""
        value = value_of(
            body_of(message.content, is_base64=self._is_base64), data_type=self._data_type
        )
        return await self._executor.execute(
            self.function,
            self._inputs.of(self.function, value),
            trace=trace_context(None),
            metadata=metadata_of(message, value),
            reason=f"New queue message detected on '{self.queue}'.",
        )

    async def by_hand(self, text: str) -> Outcome:
        """Run the function on a message that never was in a queue."""
        return await self._executor.execute(
            self.function,
            self._inputs.of(self.function, value_of(text.encode(), self._data_type)),
            trace=trace_context(None),
            metadata=metadata_by_hand(text),
            reason="This function was programmatically called via the host APIs.",
        )


class QueueTriggers:
    """Every queue trigger of the app."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        options: QueueOptions,
        accounts: Accounts,
        executor: Executor,
        inputs: Inputs,
    ) -> None:
        """StartRefused naming a function whose queue or connection is not to be had."""
        self._options = options
        self.by_name = {
            function.name.lower(): QueueDelivery(
                function, executor, inputs, is_base64=options.is_base64
            )
            for function in functions
        }
        self._pollers: dict[str, list[Poller]] = {}
        for delivery in self.by_name.values():
            if not delivery.function.disabled:
                self._pollers.setdefault(delivery.queue, []).append(
                    self._poller(delivery, accounts)
                )
        self._tasks: list[asyncio.Task[None]] = []

    def _poller(self, delivery: QueueDelivery, accounts: Accounts) -> Poller:
        function = delivery.function
        service = accounts.queues(
            str(function.fields.get("connection", "")), function=function.name
        )
        return Poller(
            service.get_queue_client(delivery.queue),
            service.get_queue_client(f"{delivery.queue}-poison"),
            delivery.one,
            self._options,
        )

    def start(self) -> None:
        """Begin to take messages."""
        self._tasks = [
            asyncio.create_task(poller.listen(), name=f"queue {queue}")
            for queue, pollers in self._pollers.items()
            for poller in pollers
        ]

    def stir(self, queue: str) -> None:
        """Look into `queue` at once: this app has just put something there."""
        for poller in self._pollers.get(queue, ()):
            poller.stir()

    def stop(self) -> None:
        """Take no more; what runs goes on and is settled."""
        for pollers in self._pollers.values():
            for poller in pollers:
                poller.stop()

    async def close(self) -> None:
        """Wait until everything taken is settled: deleted, or visible again."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(
            *(poller.settled() for pollers in self._pollers.values() for poller in pollers)
        )


def queue_of(function: Function) -> str:
    """The queue of a trigger, in lower case as Azure makes it. StartRefused when it names none."""
    name = str(function.fields.get("queueName", "")).lower()
    if not name:
        raise StartRefused(f"function {function.name!r} names no queue")
    return name
