"""The mails that Communication Services has sent."""

import asyncio
import time
from typing import Any, Self

import httpx


class Mailbox:
    """What has been sent, as the local cloud's Communication Services at `url` shows it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def newest(self) -> int:
        """The number of the newest message; 0 when there is none."""
        answer = await self._http.get("/overview")
        latest = answer.raise_for_status().json()["latest"]
        return int(latest[0]["seq"]) if latest else 0

    async def sent_to(
        self, address: str, *, since: int, at_least: int, within_s: float = 30
    ) -> list[dict[str, Any]]:
        """The mails to `address` after number `since`, oldest first.

        Waits until there are `at_least` so many, or time is up.
        """
        deadline = time.monotonic() + within_s
        asked: dict[str, str | int] = {"channel": "email", "to": address, "since": since}
        while True:
            answer = await self._http.get("/messages", params=asked)
            mails: list[dict[str, Any]] = answer.raise_for_status().json()["messages"]
            if len(mails) >= at_least or time.monotonic() > deadline:
                return mails
            await asyncio.sleep(0.05)
