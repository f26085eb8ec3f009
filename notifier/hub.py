"""The methods that clients may call: WatchOrder, UnwatchOrder, Resume."""

from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar
from uuid import UUID

from pydantic import JsonValue
from redis.exceptions import RedisError

from notifier.client import Client
from notifier.entries import is_entry_id
from notifier.history import History
from notifier.hub_protocol import Invocation
from notifier.registry import Registry
from notifier.settings import Settings
from shared import telemetry

_log = telemetry.logger(__name__)


class CallError(Exception):
    """The call came to nothing; the text is for the caller."""


class Hub:
    """Hub methods; each gets the client that calls and the call's arguments."""

    METHODS: ClassVar[frozenset[str]] = frozenset({"WatchOrder", "UnwatchOrder", "Resume"})

    def __init__(self, registry: Registry, history: History, settings: Settings) -> None:
        self._registry, self._history, self._settings = registry, history, settings
        self._methods: Mapping[str, Callable[[Client, list[JsonValue]], Awaitable[JsonValue]]] = {
            "WatchOrder": self._watch,
            "UnwatchOrder": self._unwatch,
            "Resume": self._resume,
        }

    async def call(self, client: Client, invocation: Invocation) -> JsonValue:
        """The result of the method. Raises CallError."""
        method = self._methods.get(invocation.target)
        if method is None:
            raise CallError("there is no such method")
        if invocation.streams:
            raise CallError("no method here takes or gives a stream")
        return await method(client, invocation.arguments)

    def watch(self, client: Client, order_id: UUID) -> None:
        """Let the client have what is told of the order. Raises CallError.

        Nobody is told here whether the order exists or whose it is: of orders that are not his a
        customer simply hears nothing.
        """
        group = f"order:{order_id}"
        watched = sum(name.startswith("order:") for name in client.groups)
        if group not in client.groups and watched >= self._settings.notifier_watched_orders:
            raise CallError(f"at most {self._settings.notifier_watched_orders} orders at a time")
        self._registry.join(client, group)

    async def resume(self, client: Client, after: str) -> JsonValue:
        """Send the client what it missed since the entry `after`, or tell it to fetch.

        The result names how many messages that were, and the entry from which on nothing is
        missing any more.
        """
        client.hold()
        try:
            missed = await self._history.missed(client, after)
        except (RedisError, OSError, TimeoutError) as fault:
            _log.warning("history unavailable: %s", type(fault).__qualname__)
            return self._resync(client, "unavailable", self._registry.position)
        if missed.entries is None:
            return self._resync(client, "too_long_ago", missed.position)
        client.release(missed.entries)
        return {"resync": False, "replayed": len(missed.entries), "entry": missed.position}

    def _resync(self, client: Client, reason: str, position: str | None) -> JsonValue:
        client.resync(reason, position, spread_s=0)
        client.release()
        return {"resync": True, "replayed": 0, "entry": position}

    async def _watch(self, client: Client, arguments: list[JsonValue]) -> JsonValue:
        self.watch(client, _order_id(arguments))
        return None

    async def _unwatch(self, client: Client, arguments: list[JsonValue]) -> JsonValue:
        self._registry.leave(client, f"order:{_order_id(arguments)}")
        return None

    async def _resume(self, client: Client, arguments: list[JsonValue]) -> JsonValue:
        if arguments == [None]:
            return {"resync": False, "replayed": 0, "entry": self._registry.position}
        if len(arguments) != 1 or not is_entry_id(arguments[0]):
            raise CallError("Resume takes the entry of the last message that was received, or null")
        return await self.resume(client, str(arguments[0]))


def _order_id(arguments: list[JsonValue]) -> UUID:
    if len(arguments) == 1 and isinstance(arguments[0], str) and len(arguments[0]) == 36:  # noqa: PLR2004 - as UUIDs are written
        try:
            return UUID(arguments[0])
        except ValueError:
            pass
    raise CallError("this takes the id of an order")
