"""The live feed: what services tell signed-in people at once, on its way to the notifier.

Redis Streams, all under one hash tag, so that a cluster keeps them together. One script writes a
message to the feed, which every replica of the notifier reads, and under the same entry id to a
short stream of each group, from which a client that comes back is told what it missed.

Redis is never the truth: a message that does not get there is found by `GET /notifications`.
"""

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self
from uuid import UUID

from pydantic import JsonValue

from shared import telemetry

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from shared.credentials import Identity

FEED = "{live}:feed"
"""Every message. An entry has the fields `m`, the message, and `p`, the id of the entry before."""
ERA = "{live}:era"
"""The id of the entry with which this feed began, and how many keys Redis had evicted by then.

What is older belongs to a feed that was flushed. After another eviction nobody can tell whether it
was a group's stream: whoever finds that begins a new era.
"""
FEED_LENGTH = 10_000
FEED_KEPT_S = 24 * 3600
GROUP_LENGTH = 200
"""A group's stream holds exactly its last so many messages…"""
GROUP_KEPT_S = 3600
"""… and is there for at least so long after each of them."""

MESSAGE_MAX_BYTES = 16 * 1024
TIMEOUT_S = 1.0
REST_S = 1.0
"""After a failure nobody waits for Redis for this long."""
CONNECTIONS = 20

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_GROUP = re.compile(rf"(?:user|order):{_UUID}|role:[a-z][a-z-]{{0,63}}|clients|employees|everyone")

# KEYS: feed, era, the streams of all groups. ARGV: feed's length and time, a group's length and
# time, then for each message its text, how many groups it goes to, and which of KEYS these are.
_PUBLISH = """
local function begin_era(id)
    local evicted = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)')
    redis.call('SET', KEYS[2], id .. ' ' .. (evicted or '0'))
end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local previous = newest[1] and newest[1][1] or ''
local at = 5
while ARGV[at] do
    local text, groups = ARGV[at], tonumber(ARGV[at + 1])
    local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'm', text, 'p', previous)
    if redis.call('EXISTS', KEYS[2]) == 0 then begin_era(id) end
    for index = at + 2, at + 1 + groups do
        local stream = KEYS[tonumber(ARGV[index])]
        local written = redis.pcall('XADD', stream, 'MAXLEN', '=', ARGV[3], id, 'm', text)
        if written.err then
            redis.call('DEL', stream)
            begin_era(id)
            redis.call('XADD', stream, id, 'm', text)
        end
        redis.call('PEXPIRE', stream, ARGV[4])
    end
    previous = id
    at = at + 2 + groups
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return previous
"""
# A group's stream refuses an id below its newest one: the feed was lost and the clock went back.
# What that stream held is then of another era.

_log = telemetry.logger(__name__)


def group_stream(group: str) -> str:
    """The key of the stream that holds a group's latest messages."""
    return f"{{live}}:group:{group}"


type Event = Literal["notification", "order", "sessions_ended"]
EVENTS = frozenset({"notification", "order", "sessions_ended"})
"""The last one is for the notifier itself: `data` names the `sessions` of the person that are over,
and `until` when whatever that person signed in to is, in seconds since 1970 or null."""


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """Something that the members of `groups` are told at once, each of them one time.

    A group is `user:<uuid>`, `order:<uuid>` (who watches that order), `role:<role>`, `clients`,
    `employees` or `everyone`; anything else is a ValueError. `id` is the notification's, by which
    clients drop doubles. `owner` is the customer whose order it is: of the clients in a group only
    he gets the message; employees get it in any case. `data` may hold no personal data.
    """

    groups: tuple[str, ...]
    event: Event
    id: str
    data: Mapping[str, JsonValue]
    owner: UUID | None = None

    def __post_init__(self) -> None:
        if not self.groups:
            raise ValueError("a live message goes to at least one group")
        for group in self.groups:
            if not _GROUP.fullmatch(group):
                raise ValueError(f"there is no group {group!r}")

    def to_text(self) -> str:
        """The message as the feed carries it. ValueError beyond 16 KiB."""
        document: dict[str, Any] = {
            "groups": self.groups,
            "event": self.event,
            "id": self.id,
            "data": self.data,
        }
        if self.owner is not None:
            document["owner"] = str(self.owner)
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        if len(text.encode()) > MESSAGE_MAX_BYTES:
            raise ValueError(f"a live message may have at most {MESSAGE_MAX_BYTES} bytes")
        return text

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The message that `to_text` wrote. ValueError for anything else."""
        try:
            document = json.loads(text)
            owner = document.get("owner")
            event = document["event"]
            if event not in EVENTS or not isinstance(document["data"], dict):
                raise ValueError("this is no live message")
            return cls(
                groups=tuple(document["groups"]),
                event=event,
                id=str(document["id"]),
                data=document["data"],
                owner=None if owner is None else UUID(owner),
            )
        except (AttributeError, KeyError, TypeError) as fault:
            raise ValueError("this is no live message") from fault


class Feed:
    """Where live messages are put."""

    def __init__(self, redis_url: str, identity: "Identity | None" = None) -> None:
        self._url, self._identity = redis_url, identity
        self._redis: Redis | None = None
        self._rests_until = 0.0

    async def publish(self, messages: Sequence[LiveMessage]) -> bool:
        """Put `messages` into the feed, all or nothing, in this order and in one round trip.

        Whether Redis said that it took them. False when it is away, and after a second when it is
        slow; they may then have got there nonetheless, and publishing them again does no harm.
        """
        if not messages:
            return True
        keys, arguments = _arguments(messages)
        if time.monotonic() < self._rests_until:
            return False
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._connected().eval(_PUBLISH, len(keys), *keys, *arguments)
        except Exception as fault:  # noqa: BLE001 - whoever publishes has done his work already
            self._rests_until = time.monotonic() + REST_S
            _log.warning("live feed unavailable: %s", type(fault).__qualname__)
            return False
        return True

    async def close(self) -> None:
        """Let go of the connections; the next use opens new ones."""
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    def _connected(self) -> "Redis":
        if self._redis is None:
            from redis.asyncio import (  # noqa: PLC0415 - heavy; paid for by who uses it
                BlockingConnectionPool,
                Redis,
            )
            from redis.asyncio.retry import Retry  # noqa: PLC0415
            from redis.backoff import NoBackoff  # noqa: PLC0415

            from shared import redis_address  # noqa: PLC0415

            # Of many who publish at once some wait for a connection, within their time.
            pool = BlockingConnectionPool(
                **redis_address.options(
                    self._url,
                    self._identity,
                    retry=Retry(NoBackoff(), 0),
                    max_connections=CONNECTIONS,
                    timeout=TIMEOUT_S,
                    decode_responses=True,
                )
            )
            self._redis = Redis.from_pool(pool)
        return self._redis


def _arguments(messages: Sequence[LiveMessage]) -> tuple[list[str], list[str | int]]:
    """KEYS and ARGV of the script; every group's stream stands once in KEYS."""
    keys = [FEED, ERA]
    place: dict[str, int] = {}
    arguments: list[str | int] = [FEED_LENGTH, FEED_KEPT_S * 1000]
    arguments += [GROUP_LENGTH, GROUP_KEPT_S * 1000]
    for message in messages:
        groups = tuple(dict.fromkeys(message.groups))
        arguments += [message.to_text(), len(groups)]
        for group in groups:
            if group not in place:
                keys.append(group_stream(group))
                place[group] = len(keys)
            arguments.append(place[group])
    return keys, arguments
