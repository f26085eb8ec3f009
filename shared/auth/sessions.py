"""Sessions of signed-in people: who signed out, who asks too often, and where they are signed in.

Asked of Redis in one round trip per request. Redis is never the truth: which sessions were ended is
asked of `Endings` (PostgreSQL) where Redis does not know, has not been told for a minute, or is
away. Endings are never taken back, so whatever order they reach Redis in, none is lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from shared.auth import session_scripts as scripts
from shared.auth.caller import Caller
from shared.auth.devices import device_name
from shared.cache import Cache
from shared.problem import SessionEnded, TooManyRequests

CLIENT_LIMIT = 1000
EMPLOYEE_LIMIT = 5000
KEPT_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Ended:
    """What a person ended: the `session` asked about; every sign-in up to `until` (seconds)."""

    session: bool = False
    until: int | None = None

    def covers(self, caller: Caller) -> bool:
        """Whether the caller's token belongs to what is over."""
        return self.session or (self.until is not None and _signed_in_at(caller) <= self.until)


class Endings(Protocol):
    """The truth about sign-outs."""

    async def of(self, person_id: UUID, session: UUID | None) -> Ended:
        """What the person ended, as committed now."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A session that was used: when last (to the minute) and when signed in, seconds since 1970."""

    session: UUID
    last_seen_at: int
    signed_in_at: int
    device: str


class Sessions:
    """One per process. Limits are requests per person in any 60 seconds; 0 is none."""

    def __init__(
        self,
        cache: Cache,
        endings: Endings,
        *,
        client_limit: int = CLIENT_LIMIT,
        employee_limit: int = EMPLOYEE_LIMIT,
        kept_s: int = KEPT_S,
    ) -> None:
        self._cache, self._endings, self._kept_s = cache, endings, kept_s
        self._limits: Mapping[str, int] = {"client": client_limit, "employee": employee_limit}

    async def admit(self, caller: Caller, device: str | None) -> None:
        """Count a request of the caller's, and note that the session is in use.

        Raises SessionEnded after a sign-out, TooManyRequests beyond the limit. While Redis is away
        nobody is limited. `device` is the User-Agent header.
        """
        limit = self._limits[caller.kind]
        session = "" if caller.session is None else str(caller.session)
        noted = f"{_signed_in_at(caller)}|{device_name(device)}"
        told = await self._cache.run(
            scripts.ADMIT,
            scripts.keys(caller.id),
            (session, _signed_in_at(caller), limit, self._kept_s, noted),
        )
        match told:
            case [scripts.ADMITTED, _]:
                return
            case [scripts.ENDED, _]:
                raise _ended()
            case [scripts.LIMITED, retry_after_s]:
                raise TooManyRequests(
                    f"at most {limit} requests in a minute; try again in {retry_after_s} s",
                    limit=limit,
                    retry_after_s=int(retry_after_s),
                )
        ended = await self._endings.of(caller.id, caller.session)
        if told is not None:
            await self.tell(caller.id, {caller.session: ended.session}, ended.until)
        if ended.covers(caller):
            raise _ended()

    async def tell(
        self, person_id: UUID, sessions: Mapping[UUID | None, bool], until: int | None
    ) -> bool:
        """Tell Redis which of the sessions have ended, as the truth has it; whether it was told."""
        named = [
            text
            for session, ended in sessions.items()
            for text in ("" if session is None else str(session), "1" if ended else "0")
        ]
        arguments = ("" if until is None else until, self._kept_s, *named)
        return await self._cache.run(scripts.TELL, scripts.keys(person_id), arguments) is not None

    async def seen(self, person_id: UUID) -> list[Seen] | None:
        """The person's sessions used in the last 24 hours, latest first; None while Redis is away.

        Those that ended are not among them.
        """
        found = await self._cache.run(scripts.SEEN, scripts.keys(person_id), (self._kept_s,))
        if found is None:
            return None
        sessions = [_seen(found[at], found[at + 1]) for at in range(0, len(found), 2)]
        return sorted(sessions, key=lambda one: (-one.last_seen_at, one.session))


def _ended() -> SessionEnded:
    return SessionEnded("this session was ended: sign in again")


def _signed_in_at(caller: Caller) -> int:
    """When the person signed in; without that claim, when the token was issued."""
    return caller.issued_at if caller.signed_in_at is None else caller.signed_in_at


def _seen(session: str, noted: str) -> Seen:
    last_seen_at, signed_in_at, device = noted.split("|", 2)
    return Seen(UUID(session), int(last_seen_at), int(signed_in_at), device)
