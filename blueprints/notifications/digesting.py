"""Digests: what waits for a person becomes one mail a day, or a week."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from blueprints.notifications import hours, preferences_repository
from blueprints.notifications.announcing import next_digest
from blueprints.notifications.models import Habits
from shared.db import Database

PEOPLE_PER_ROUND = 500


class Digesting:
    """Gathers what is due; sending finds each digest by its id and sends it as one message."""

    def __init__(
        self, database: Database, *, default_time_zone: str, clock: Callable[[], datetime]
    ) -> None:
        where = hours.zone(default_time_zone)
        if where is None:
            raise ValueError(f"there is no time zone {default_time_zone}")
        self._database, self._default_zone, self._clock = database, where, clock

    async def gather(self) -> int:
        """Make a digest for everybody for whom one is due; how many that were.

        A person's digest is made in one transaction, with the person's row held: a crash, or a
        second process that is at it, makes no second one.
        """
        gathered, now = 0, self._clock()
        while True:
            async with self._database.reading() as tx:
                people = await preferences_repository.with_due_digest(
                    tx, now, limit=PEOPLE_PER_ROUND
                )
            for person_id in people:
                gathered += await self._gather(person_id, now)
            if len(people) < PEOPLE_PER_ROUND:
                return gathered

    async def _gather(self, person_id: UUID, now: datetime) -> bool:
        """Whether this made a digest for the person.

        What was written down so late that its digest has been gathered already waits for the next:
        nobody gets two digests at a time.
        """
        async with self._database.transaction() as tx:
            habits, digested_at, due_at = await preferences_repository.hold(tx, person_id, now)
            if due_at is None:
                return False
            if habits is not None and digested_at is not None and due_at <= digested_at:
                until = self._next(habits, now)
                if until is not None:
                    await preferences_repository.postpone(tx, person_id, until=until, now=now)
                    return False
            made = await preferences_repository.gather(
                tx, person_id, uuid7(), due_at=due_at, now=now
            )
            return made > 0

    def _next(self, habits: Habits, now: datetime) -> datetime | None:
        if habits.digest == "off":
            return None
        where = hours.zone(habits.time_zone) or self._default_zone
        return next_digest(habits, where, now)
