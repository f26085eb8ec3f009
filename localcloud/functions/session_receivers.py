"""Accepts sessions one after the other, over connections that are kept for the next one."""

import asyncio
import contextlib
import queue
from collections.abc import Callable
from typing import Any, Final

from azure.servicebus._pyamqp.constants import LinkState
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.aio._async_utils import create_authentication
from azure.servicebus.exceptions import OperationTimeoutError

from localcloud.functions.logs import host_log

_WAIT_S: Final = 5.0
_GOODBYE_S: Final = 2.0
_MOST_SESSIONS: Final = 100
"""Of one connection: the SDK numbers its links and takes no number twice, AMQP has few."""


class SessionReceivers:
    """Receivers of the next free session of one entity.

    A receiver of the SDK is for one session: for the next one it connects, authenticates and
    attaches anew. That takes 0.45 s, of sleeps mostly, and most of the work that a session with
    two messages makes. Azure's own host, in .NET, keeps one connection for all of them. So this
    opens a receiver without the sleeps, and when its session is given back it detaches the link
    and keeps the rest. What the SDK has for itself is used in this file alone: its version is
    locked, and tests of the host fail should it change.
    """

    def __init__(self, new: Callable[[], ServiceBusReceiver], *, spare: int) -> None:
        """At most `spare` connections are kept while nobody waits for a session."""
        self._new, self._most = new, spare
        self._spare: list[ServiceBusReceiver] = []
        self._served: dict[ServiceBusReceiver, int] = {}

    async def accept(self) -> ServiceBusReceiver:
        """The holder of the next session that has messages; waits for one.

        Raises what the SDK raises, so OperationTimeoutError when there was none for a minute.
        """
        while self._spare:
            try:
                return await self._attach(self._spare.pop())
            except OperationTimeoutError:
                raise
            except Exception:  # noqa: BLE001, S112 - it died while it was kept; a new one tells why
                continue
        receiver = self._new()
        try:
            await _connect(receiver)
        except BaseException as error:
            await _closed(receiver)
            raise _told(receiver, error) from error
        return await self._attach(receiver)

    async def _attach(self, receiver: ServiceBusReceiver) -> ServiceBusReceiver:
        handler: Any = receiver._handler  # noqa: SLF001 - see the class
        try:
            while not await handler.auth_complete_async():
                pass
            while not await handler._client_ready_async():  # noqa: SLF001
                await handler._connection.listen(wait=_WAIT_S)  # noqa: SLF001
        except BaseException as error:
            await self.discard(receiver)
            raise _told(receiver, error) from error
        self._served[receiver] = self._served.get(receiver, 0) + 1
        return receiver

    async def release(self, receiver: ServiceBusReceiver) -> None:
        """Give the session back, and the messages that came but were not taken."""
        worn = self._served[receiver] >= _MOST_SESSIONS
        if worn or len(self._spare) >= self._most or not await _detached(receiver):
            await self.discard(receiver)
        else:
            self._spare.append(receiver)

    async def discard(self, receiver: ServiceBusReceiver) -> None:
        """Hang up; the broker takes its session back."""
        self._served.pop(receiver, None)
        await _closed(receiver)

    async def close(self) -> None:
        """Hang up what is kept."""
        spare, self._spare = self._spare, []
        await asyncio.gather(*map(self.discard, spare))


async def _connect(receiver: ServiceBusReceiver) -> None:
    receiver._create_handler(await create_authentication(receiver))  # noqa: SLF001 - see the class
    await receiver._handler.open_async()  # noqa: SLF001
    receiver._running = True  # noqa: SLF001


async def _detached(receiver: ServiceBusReceiver) -> bool:
    """Whether the link alone is gone now; what was on its way to it has come and is dropped."""
    handler: Any = receiver._handler  # noqa: SLF001 - see the class
    link = handler._link  # noqa: SLF001
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await link.detach(close=True)
            while link.state is LinkState.DETACH_SENT:
                await handler._connection.listen(wait=_GOODBYE_S)  # noqa: SLF001
    except Exception:  # noqa: BLE001 - whatever it is, the connection is not good any more
        return False
    handler._link = None  # noqa: SLF001
    handler._received_messages = queue.Queue()  # noqa: SLF001
    return link.state is LinkState.DETACHED


async def _closed(receiver: ServiceBusReceiver) -> None:
    handler: Any = receiver._handler  # noqa: SLF001 - see the class
    connection = None if handler is None else handler._connection  # noqa: SLF001
    with contextlib.suppress(Exception):  # it may be broken, that is why it closes
        await receiver.close()
    if connection is not None:
        # The SDK leaves the socket of a connection that has died open.
        with contextlib.suppress(Exception):
            await connection._transport.close()  # noqa: SLF001


def _told(receiver: ServiceBusReceiver, error: BaseException) -> BaseException:
    """The SDK's own exception for what happened on the wire."""
    if not isinstance(error, Exception):
        return error
    transport: Any = receiver._amqp_transport  # noqa: SLF001 - see the class
    told: Exception = transport.create_servicebus_exception(host_log, error)
    return told
