"""What waits to be sent to one client: bounded, in order, with an end."""

import asyncio
from collections import deque

SENT_AT_ONCE = 16 * 1024
"""Messages that wait are sent together, up to about so many characters."""


class Outbox:
    """A queue with one reader. `bytes` is what waits (characters, which are bytes: ASCII)."""

    def __init__(self, *, messages: int, size: int) -> None:
        self._messages_max, self._bytes_max = messages, size
        self._waiting: deque[str] = deque()
        self._something = asyncio.Event()
        self._finished = False
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def finished(self) -> bool:
        """Whether nothing more may be put."""
        return self._finished

    def put(self, text: str) -> bool:
        """Append `text`; False, and nothing happens, when it is full or finished."""
        full = len(self) >= self._messages_max or self.bytes + len(text) > self._bytes_max
        if full or self._finished:
            return False
        self._append(text)
        return True

    def clear(self) -> int:
        """Drop what waits; how many messages that was."""
        dropped = len(self)
        self._waiting.clear()
        self.bytes = 0
        return dropped

    def finish(self, *texts: str) -> None:
        """Append the last `texts`, whatever room there is."""
        for text in texts:
            self._append(text)
        self._finished = True
        self._something.set()

    async def take(self) -> str | None:
        """What waits, joined, as soon as there is something; None after the last.

        Cancelling it loses nothing.
        """
        await self._something.wait()
        if not self._waiting:
            return None
        taken = [self._waiting.popleft()]
        size = len(taken[0])
        while self._waiting and size + len(self._waiting[0]) <= SENT_AT_ONCE:
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self.bytes -= size
        if not self._waiting and not self._finished:
            self._something.clear()
        return taken[0] if len(taken) == 1 else "".join(taken)

    def _append(self, text: str) -> None:
        self._waiting.append(text)
        self.bytes += len(text)
        self._something.set()
