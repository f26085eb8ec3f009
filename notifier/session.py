"""A client's side of the hub protocol: handshake, calls of hub methods, how much it may send."""

import asyncio
import time
from collections.abc import Callable

from notifier import hub_protocol
from notifier.client import Client
from notifier.hub import CallError, Hub
from notifier.hub_protocol import Close, Invocation, ProtocolError
from notifier.metrics import Metrics
from notifier.registry import Registry
from notifier.settings import Settings


class Session:
    """What one hub client sends, in the order in which it came."""

    def __init__(
        self,
        client: Client,
        hub: Hub,
        registry: Registry,
        *,
        settings: Settings,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._hub, self._registry = client, hub, registry
        self._metrics, self._clock = metrics, clock
        self._rate, self._burst = settings.notifier_messages_per_s, settings.notifier_messages_burst
        self._allowance, self._counted_at = float(self._burst), clock()
        self._turn = asyncio.Lock()

    async def receive(self, text: str) -> None:
        """Do what the messages in `text` ask for; who breaks the rules is closed."""
        async with self._turn:
            self._client.heard()
            try:
                for message in hub_protocol.split(text):
                    if self._client.reason is not None:
                        return
                    if not self._allowed():
                        self._client.close("flood")
                    elif self._client.shaken:
                        await self._message(message)
                    else:
                        self._handshake(message)
            except ProtocolError as fault:
                self._client.close("protocol", str(fault))

    def _handshake(self, text: str) -> None:
        hub_protocol.accept_handshake(text)
        self._client.shake()
        if self._registry.crowded(self._client):
            self._client.close("crowd")
        elif self._registry.draining:
            self._client.close("drain")

    async def _message(self, text: str) -> None:
        message = hub_protocol.parse(text)
        if isinstance(message, Invocation):
            await self._call(message)
        elif isinstance(message, Close):
            self._client.close("gone")

    async def _call(self, invocation: Invocation) -> None:
        method = invocation.target if invocation.target in Hub.METHODS else "unknown"
        try:
            result = await self._hub.call(self._client, invocation)
        except CallError as refusal:
            self._metrics.invocations.labels(method, "refused").inc()
            if invocation.id is not None:
                self._client.send(hub_protocol.failure(invocation.id, str(refusal)))
        else:
            self._metrics.invocations.labels(method, "done").inc()
            if invocation.id is not None:
                self._client.send(hub_protocol.completion(invocation.id, result))

    def _allowed(self) -> bool:
        now = self._clock()
        gained = (now - self._counted_at) * self._rate
        self._allowance, self._counted_at = min(self._burst, self._allowance + gained), now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True
