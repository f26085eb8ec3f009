"""What a client is told without asking: the notifier's event stream."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from demo.shop import Person, Unexpected

OPENED_WITHIN_S = 10.0

type Hear = Callable[[datetime, dict[str, Any]], None]
"""Told of a notification, and when it came."""


class Live:
    """A client's open line to the notifier; remembers what it heard, by order.

    `api` is the base under which the notifier's `/notifications` are shown: the gateway's, or the
    notifier's own address.
    """

    def __init__(self, api: str, hear: Hear) -> None:
        self._api, self._hear = api, hear
        self._heard: list[dict[str, Any]] = []
        self._open = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listening(self, person: Person) -> AsyncIterator[None]:
        """Listens as `person` until the block ends. Unexpected if the notifier refuses."""
        task = asyncio.create_task(self._listen(person))
        opening = asyncio.create_task(self._open.wait())
        try:
            await asyncio.wait(
                (task, opening), timeout=OPENED_WITHIN_S, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                await task
            if not self._open.is_set():
                raise Unexpected("the notifier did not open its stream")
            yield
        finally:
            for one in (task, opening):
                one.cancel()
            await asyncio.gather(task, opening, return_exceptions=True)

    async def heard(self, order_id: str, *types: str, within_s: float = 30) -> list[str]:
        """The types heard about the order, in order, once `types` are among them or time is up."""
        deadline = time.monotonic() + within_s
        while True:
            told = [one["type"] for one in self._heard if one["order_id"] == order_id]
            if set(types) <= set(told) or time.monotonic() > deadline:
                return told
            await asyncio.sleep(0.05)

    async def _listen(self, person: Person) -> None:
        """A ticket first, so that the token stands in no URL; then events as they come."""
        # The stream itself has no end: only its silence is limited, by the notifier's heartbeat.
        async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
            answer = await http.post(f"{self._api}/notifications/ticket", headers=person.headers)
            if answer.is_error:
                raise Unexpected(f"the notifier gave no ticket: {answer.text[:200]}")
            ticket = {"ticket": answer.json()["ticket"]}
            path = f"{self._api}/notifications/stream"
            async with http.stream("GET", path, params=ticket) as stream:
                if stream.is_error:
                    raise Unexpected(f"the notifier answered {stream.status_code}")
                self._open.set()
                await self._read(stream)

    async def _read(self, stream: httpx.Response) -> None:
        event = ""
        async for line in stream.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data" and event == "notification":
                told = json.loads(value)
                self._heard.append(told)
                self._hear(datetime.now(UTC), told)
