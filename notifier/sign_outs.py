"""Sign-outs: who signed out of a session has no connection that belongs to it any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from pydantic import JsonValue
from redis.asyncio import Redis
from redis.exceptions import RedisError

from notifier.people import Person
from shared import telemetry
from shared.auth import Caller, Ended, session_scripts
from shared.problem import ServiceUnavailable, SessionEnded

_log = telemetry.logger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """What a person ended, as the live feed tells it (`sessions_ended`)."""

    person_id: UUID
    sessions: frozenset[UUID]
    until: int | None

    @classmethod
    def told(cls, groups: tuple[str, ...], data: Mapping[str, JsonValue]) -> Self:
        """The ending that a message of the feed tells of. ValueError if it tells of none."""
        until, sessions = data.get("until"), data.get("sessions")
        kind, _, person = groups[0].partition(":")
        if kind != "user" or not isinstance(sessions, list):
            raise ValueError("this message ends nothing")
        if until is not None and not isinstance(until, int):
            raise ValueError("this message does not say until when")
        return cls(UUID(person), frozenset(UUID(str(one)) for one in sessions), until)

    def covers(self, caller: Caller) -> bool:
        """Whether the caller's token belongs to what is over."""
        over = Ended(caller.session in self.sessions, self.until)
        return caller.id == self.person_id and over.covers(caller)


class SignOuts:
    """Asks Redis before anybody comes in. What Redis lost since is told by the API alone."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def check(self, person: Person) -> Person:
        """The person. Raises SessionEnded; ServiceUnavailable while Redis does not answer."""
        caller = person.caller
        _, ended, _ = session_scripts.keys(caller.id)
        session = "" if caller.session is None else str(caller.session)
        try:
            until, told = await self._redis.hmget(ended, "*", session)
        except (RedisError, OSError, TimeoutError) as fault:
            _log.warning("sign-outs unavailable: %s", type(fault).__qualname__)
            raise ServiceUnavailable("connections cannot be made just now") from fault
        if Ended(told == "e", None if until is None else int(until)).covers(caller):
            raise SessionEnded("this session was ended: sign in again")
        return person
