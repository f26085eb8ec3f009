"""What a client missed while it was away, as long as the groups' streams hold all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from notifier.client import Client
from notifier.entries import Entry, place
from shared.live import ERA, FEED, GROUP_KEPT_S, GROUP_LENGTH, LiveMessage, group_stream

REPLAYED_MAX = 200
"""A client that missed more fetches it: its queue is for what happens now."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Entries, oldest first; None: the streams cannot tell any more. `position`: where they end."""

    entries: Sequence[Entry] | None
    position: str | None


class History:
    """Reads streams of groups."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def missed(self, client: Client, after: str) -> Missed:
        """What the client's groups were told between `after` and the client's joining of them.

        Each entry once, those it may see only. Raises redis.RedisError, OSError or TimeoutError.
        """
        groups = dict(client.groups)
        pipeline: Any = self._redis.pipeline(transaction=True)
        pipeline.time().get(ERA).info("stats").xrevrange(FEED, count=1)
        for group in groups:
            stream = group_stream(group)
            pipeline.xlen(stream).xrange(stream, count=1)
            pipeline.xrange(stream, min=f"({after}", count=GROUP_LENGTH)
        now, era, statistics, newest, *found = await pipeline.execute()
        position = newest[0][0] if newest else None
        if position is not None and not await self._is_whole(era, statistics, position):
            return Missed(None, position)
        streams = [_Stream(*found[at : at + 3]) for at in range(0, len(found), 3)]
        if not _covered(after, now[0] * 1000, era, position) or any(
            stream.is_cut(after) for stream in streams
        ):
            return Missed(None, position)
        texts = {entry_id: fields["m"] for stream in streams for entry_id, fields in stream.later}
        entries = [
            entry
            for entry_id in sorted(texts, key=place)
            if (entry := _entry(entry_id, texts[entry_id])) and _wants(client, groups, entry)
        ]
        return Missed(entries if len(entries) <= REPLAYED_MAX else None, position)

    async def _is_whole(
        self, era: str | None, statistics: Mapping[str, Any], position: str
    ) -> bool:
        """Whether Redis evicted nothing in this era; if it did, another one begins here."""
        evicted = str(statistics.get("evicted_keys", 0))
        if era is not None and era.split()[1:] == [evicted]:
            return True
        await self._redis.set(ERA, f"{position} {evicted}")
        return False


@dataclass(frozen=True, slots=True)
class _Stream:
    length: int
    first: Sequence[tuple[str, Any]]
    later: Sequence[tuple[str, Mapping[str, str]]]

    def is_cut(self, after: str) -> bool:
        """Whether something after `after` may have been dropped for lack of room."""
        return self.length >= GROUP_LENGTH and place(self.first[0][0]) > place(after)


def _covered(after: str, now_ms: int, era: str | None, newest: str | None) -> bool:
    """Whether `after` is a place in this feed, and so recent that no stream has expired since."""
    if era is None or newest is None:
        return False
    recent = place(after)[0] > now_ms - GROUP_KEPT_S * 1000
    return recent and place(era.split()[0]) <= place(after) <= place(newest)


def _entry(entry_id: str, text: str) -> Entry | None:
    try:
        message = LiveMessage.from_text(text)
    except ValueError:  # the feed's reader counts and logs it
        return None
    return None if message.event == "sessions_ended" else Entry(entry_id, message)


def _wants(client: Client, groups: Mapping[str, str | None], entry: Entry) -> bool:
    """Whether the client may see it, and has not got it already through one of its groups."""
    came = any(
        position is not None and place(entry.id) > place(position)
        for group in entry.message.groups
        if group in groups
        for position in [groups[group]]
    )
    return not came and client.may_see(entry)
