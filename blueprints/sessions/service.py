"""What a person may ask about the own sessions: which there are, and that they end."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from blueprints.sessions import repository
from blueprints.sessions.models import Session, SessionList
from shared.auth import Caller, Ended, Seen, Sessions
from shared.db import Database
from shared.live import Feed, LiveMessage
from shared.problem import NotFound

TOLD_AGAIN_AFTER_S = 1.0
TOLD_AGAIN_TIMES = 120
"""Twice as long as Redis's word counts that a session has not ended."""


class SignOuts:
    """The truth about sign-outs: what shared.auth asks when Redis does not know."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, person_id: UUID, session: UUID | None) -> Ended:
        """What the person ended, as committed now."""
        async with self._database.reading() as tx:
            ended, until = await repository.standing(tx, person_id, session)
        return Ended(ended, None if until is None else int(until.timestamp()))


class SessionService:
    """Lists and ends sessions. The registry and the feed are told once a sign-out is committed."""

    def __init__(
        self, database: Database, sign_outs: SignOuts, registry: Sessions, feed: Feed
    ) -> None:
        self._database, self._sign_outs = database, sign_outs
        self._registry, self._feed = registry, feed
        self._telling: set[asyncio.Task[None]] = set()

    async def list(self, caller: Caller) -> SessionList:
        """The caller's sessions of the last 24 hours, latest first."""
        seen = await self._registry.seen(caller.id)
        items = [_session(one, caller) for one in seen or ()]
        if seen is None and caller.session is not None:
            now = int(datetime.now(UTC).timestamp())
            signed_in_at = caller.signed_in_at or caller.issued_at
            items = [_session(Seen(caller.session, now, signed_in_at, "This device"), caller)]
        return SessionList(items=items, complete=seen is not None)

    async def end(self, caller: Caller, session_id: UUID) -> None:
        """End one of the caller's sessions; one that has ended stays so.

        Raises NotFound for a session that is not known as the caller's. While the registry is away
        nobody can tell, and the sign-out is kept.
        """
        if session_id != caller.session:
            seen = await self._registry.seen(caller.id)
            if seen is not None and session_id not in {one.session for one in seen}:
                if (await self._sign_outs.of(caller.id, session_id)).session:
                    return
                raise NotFound("you have no such session")
        async with self._database.transaction() as tx:
            await repository.end(tx, caller.id, [session_id])
        await self._told(caller.id, {session_id: True}, None)

    async def end_all(self, caller: Caller) -> None:
        """End every session of the caller, this one included, whether it is known or not."""
        known = {one.session for one in await self._registry.seen(caller.id) or ()}
        if caller.session is not None:
            known.add(caller.session)
        async with self._database.transaction() as tx:
            # By name as well: the directory's clock may be ahead of ours.
            await repository.end(tx, caller.id, known)
            until = await repository.end_everywhere(tx, caller.id)
        sessions: Mapping[UUID | None, bool] = dict.fromkeys(known, True)
        await self._told(caller.id, sessions, int(until.timestamp()))

    async def close(self) -> None:
        """Stop telling what could not be told yet."""
        for task in list(self._telling):
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def _told(
        self, person_id: UUID, sessions: Mapping[UUID | None, bool], until: int | None
    ) -> None:
        """Returns once Redis was told; while it is away that goes on in the background."""
        messages = [_message(person_id, sessions, until)]

        async def tell() -> bool:
            kept = await self._registry.tell(person_id, sessions, until)
            return kept and await self._feed.publish(messages)

        async def until_told() -> None:
            for _ in range(TOLD_AGAIN_TIMES):
                await asyncio.sleep(TOLD_AGAIN_AFTER_S)
                if await tell():
                    return

        if not await tell():
            task = asyncio.create_task(until_told())
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)


def _message(
    person_id: UUID, sessions: Mapping[UUID | None, bool], until: int | None
) -> LiveMessage:
    """What the notifier is told, which ends the connections of these sessions."""
    return LiveMessage(
        groups=(f"user:{person_id}",),
        event="sessions_ended",
        id=str(uuid7()),
        data={"sessions": [str(session) for session in sessions], "until": until},
    )


def _session(seen: Seen, caller: Caller) -> Session:
    return Session(
        id=seen.session,
        device=seen.device,
        signed_in_at=datetime.fromtimestamp(seen.signed_in_at, UTC),
        last_seen_at=datetime.fromtimestamp(seen.last_seen_at, UTC),
        current=seen.session == caller.session,
    )
