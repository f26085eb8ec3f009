"""Receiving exactly what is expected, with a deadline."""

import asyncio
from typing import Any


async def receive(receiver: Any, count: int, *, within_s: float = 10.0) -> list[Any]:
    """Exactly `count` messages."""
    messages: list[Any] = []
    async with asyncio.timeout(within_s):
        while len(messages) < count:
            messages += await receiver.receive_messages(count - len(messages), max_wait_time=2)
    assert len(messages) == count
    return messages


async def nothing_comes(receiver: Any) -> bool:
    messages: list[Any] = await receiver.receive_messages(1, max_wait_time=0.2)
    return messages == []


def bodies(messages: list[Any]) -> list[str]:
    return [str(message) for message in messages]
