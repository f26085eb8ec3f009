"""What connects functions with the world beside HTTP, timers and Durable, wired together."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from localcloud.functions.accounts import HOST_ACCOUNT, Accounts
from localcloud.functions.admin import ByHand
from localcloud.functions.blobs import BlobTriggers
from localcloud.functions.catalogue import (
    BLOB,
    BLOB_BINDING,
    EVENT_GRID,
    EVENT_GRID_OUTPUT,
    QUEUE,
    QUEUE_OUTPUT,
    SERVICE_BUS,
    SERVICE_BUS_OUTPUT,
    Function,
)
from localcloud.functions.connections import Connections
from localcloud.functions.errors import AccountMissing
from localcloud.functions.eventgrid import EventGridWebhook
from localcloud.functions.eventgrid_output import EventGridOutput
from localcloud.functions.execution import Executor
from localcloud.functions.inputs import Inputs
from localcloud.functions.outputs import Outputs
from localcloud.functions.queues import QueueTriggers
from localcloud.functions.servicebus import Subscriptions
from localcloud.functions.servicebus_output import ServiceBusOutput
from localcloud.functions.settings import HostOptions
from localcloud.functions.storage_outputs import BlobInputs, BlobOutput, QueueOutput


class _Triggers(Protocol):
    """Triggers of one kind."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    async def close(self) -> None: ...


class Bindings:
    """The app's connections to Service Bus, storage and Event Grid."""

    def __init__(
        self,
        functions: Sequence[Function],
        *,
        options: HostOptions,
        environ: Mapping[str, str],
        script_root: Path,
        executor: Executor,
        inputs: Inputs,
        event_grid_keys: Sequence[str],
        emulator_at_hand: bool,
        leads: bool,
    ) -> None:
        """Gives the executor what reads inputs and sends outputs. StartRefused says what lacks.

        Of several processes of an app, the one that `leads` looks for blobs.

        AccountMissing when the app wants the storage emulator and `emulator_at_hand` says that
        whoever started the host knows where one is, or can start it.
        """
        self._connections, self._accounts = Connections(environ), Accounts(environ)
        if emulator_at_hand and self._accounts.want_an_emulator(_accounts_of(functions)):
            raise AccountMissing("the app uses storage, and no account is set for it")
        self._subscriptions = Subscriptions(
            _triggered(functions, SERVICE_BUS),
            options=options.service_bus,
            connections=self._connections,
            executor=executor,
            inputs=inputs,
        )
        self._queues = QueueTriggers(
            _triggered(functions, QUEUE),
            options=options.queues,
            accounts=self._accounts,
            executor=executor,
            inputs=inputs,
        )
        self._blobs = BlobTriggers(
            _triggered(functions, BLOB),
            options=options,
            accounts=self._accounts,
            script_root=script_root,
            environ=environ,
            executor=executor,
            inputs=inputs,
            scans=leads,
        )
        self.event_grid = EventGridWebhook(
            _triggered(functions, EVENT_GRID),
            executor=executor,
            inputs=inputs,
            keys=event_grid_keys,
        )
        self._outputs = Outputs(
            functions,
            {
                SERVICE_BUS_OUTPUT: ServiceBusOutput(self._connections),
                QUEUE_OUTPUT: QueueOutput(
                    self._accounts, is_base64=options.queues.is_base64, sent=self._queues.stir
                ),
                BLOB_BINDING: BlobOutput(self._accounts),
                EVENT_GRID_OUTPUT: EventGridOutput(environ),
            },
        )
        executor.inputs, executor.outputs = BlobInputs(functions, self._accounts), self._outputs
        self._triggers: Sequence[_Triggers] = (self._subscriptions, self._queues, self._blobs)

    @property
    def by_hand(self) -> Mapping[str, ByHand]:
        """What runs a function on a text, by the function's lower-case name."""
        return {
            **{name: one.by_hand for name, one in self._subscriptions.by_name.items()},
            **{name: one.by_hand for name, one in self._queues.by_name.items()},
            **{name: one.by_hand for name, one in self._blobs.by_name.items()},
            **{name: one.by_hand for name, one in self.event_grid.by_name.items()},
        }

    def start(self) -> None:
        """Begin to receive."""
        for triggers in self._triggers:
            triggers.start()

    def stop(self) -> None:
        """Receive no more; what runs goes on and is settled."""
        for triggers in self._triggers:
            triggers.stop()

    async def close(self) -> None:
        """Settle what has ended, return what was only taken, hang up."""
        await asyncio.gather(*(triggers.close() for triggers in self._triggers))
        await self._outputs.close()
        await asyncio.gather(self._connections.close(), self._accounts.close())


def _triggered(functions: Sequence[Function], kind: str) -> list[Function]:
    return [function for function in functions if function.trigger == kind]


def _accounts_of(functions: Sequence[Function]) -> Iterator[str]:
    """The connection settings of every storage binding of the functions that run."""
    for function in functions:
        if function.disabled:
            continue
        if function.trigger in {QUEUE, BLOB}:
            yield function.connection
        if function.trigger == BLOB:
            yield HOST_ACCOUNT  # where its receipts are
        for binding in (*function.inputs, *function.outputs):
            if binding.kind in {QUEUE_OUTPUT, BLOB_BINDING}:
                yield binding.connection
