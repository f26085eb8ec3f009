"""Runs leased work: a loop that finds it, slots that bound it, tasks that do it."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable

import psycopg

from localcloud.durable.database import AWAY
from localcloud.durable.pace import Alarm, Slots
from localcloud.durable.task import LeasedTask
from localcloud.durable.turn import Turn

_log = logging.getLogger(__name__)

POLL_S = 1.0
"""The net under notifications and alarms."""


_LONGEST_PAUSE_S = 30.0
_DOUBLINGS = 20


class Work[Leased: (Turn, LeasedTask)](ABC):
    """One kind of work. `running` is what this host holds a lease for."""

    def __init__(self, *, slots: int, max_attempts: int, first_pause_s: float) -> None:
        self.running: dict[asyncio.Task[None], Leased] = {}
        self.alarm = Alarm()
        self._slots = Slots(slots)
        self._max_attempts = max_attempts
        self._first_pause_s = first_pause_s
        self._slotless: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None

    @abstractmethod
    async def _take(self, limit: int) -> list[Leased]:
        """Lease up to `limit` from the database."""

    @abstractmethod
    async def _do(self, leased: Leased) -> None:
        """Do it, and write down the result. An exception means that it is abandoned."""

    @abstractmethod
    async def _give_back(self, leased: Leased, *, delay_s: float, counts: bool) -> None:
        """Let somebody try it again."""

    @property
    def free(self) -> int:
        """How many slots nobody has."""
        return self._slots.free

    async def one_free(self, within_s: float) -> None:
        """Return when a slot is free, or after `within_s`."""
        await self._slots.one_free(within_s)

    def reserve(self, wanted: int, *, continues: bool = False) -> int:
        """Slots for work that comes leased from elsewhere: pass them to `adopt` or `release`.

        Work that `continues` other work comes before what waits in the database.
        """
        return self._slots.reserve(wanted, continues=continues)

    def release(self, count: int) -> None:
        """Slots that were reserved for nothing."""
        self._slots.give(count)

    def adopt(self, leased: Iterable[Leased]) -> None:
        """Do work for which slots are reserved."""
        for piece in leased:
            task = asyncio.create_task(self._run(piece))
            self.running[task] = piece
            task.add_done_callback(self._ended)

    def hand_over_slot(self) -> None:
        """Free the slot of the work that calls this, before its end, for what it brings about."""
        task = asyncio.current_task()
        if task in self.running and task not in self._slotless:
            self._slotless.add(task)
            self._slots.give()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self.running[task]
        if task in self._slotless:
            self._slotless.remove(task)
        else:
            self._slots.give()

    async def _run(self, leased: Leased) -> None:
        try:
            await self._do(leased)
        except asyncio.CancelledError:
            await self._abandon(leased, delay_s=0.0, counts=False)
            raise
        except AWAY as problem:
            _log.warning("the database failed %s: %s", label(leased), problem)
            await self._abandon(leased, delay_s=self._first_pause_s, counts=False)
        except Exception:  # noqa: BLE001 - whatever broke, somebody must try again
            _log.warning(
                "%s was abandoned, attempt %d", label(leased), leased.attempts, exc_info=True
            )
            await self._abandon(leased, delay_s=self._pause_s(leased.attempts), counts=True)

    def _pause_s(self, attempts: int) -> float:
        """How long abandoned work rests: twice as long each time."""
        doubled = min(attempts - 1, _DOUBLINGS)
        return float(min(self._first_pause_s * 2**doubled, _LONGEST_PAUSE_S))

    async def _abandon(self, leased: Leased, *, delay_s: float, counts: bool) -> None:
        try:
            await self._give_back(leased, delay_s=delay_s, counts=counts)
        except psycopg.Error as problem:
            _log.warning("%s is left to its lease: %s", label(leased), problem)
        else:
            self.alarm.ring_in(delay_s)

    def start(self) -> None:
        """Look for work from now on."""
        self._looking = asyncio.create_task(self._look())

    async def _room(self) -> int:
        """Slots for what waits in the database, once there are some. 0 once closed."""
        return await self._slots.take()

    async def _look(self) -> None:
        while room := await self._room():
            found: list[Leased] = []
            try:
                found = await self._take(room)
            except psycopg.Error as problem:
                _log.warning("the database is away: %s", problem)
            finally:
                self._slots.give(room - len(found))
            self._slots.queued = len(found) == room
            self.adopt(found)
            if not self._slots.queued:
                await self.alarm.wait(POLL_S)

    async def drain(self, timeout_s: float) -> None:
        """Take nothing new; what has not ended after `timeout_s` is cancelled and given back."""
        self._slots.close()
        self.alarm.ring()
        if self._looking is not None:
            await self._looking
        if self.running:
            _, late = await asyncio.wait(self.running, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def label(leased: Turn | LeasedTask) -> str:
    """The work's name for the log: never its input."""
    if isinstance(leased, Turn):
        return f"a turn of '{leased.name}' {leased.instance_id}"
    return f"activity '{leased.name}' of {leased.instance_id}"
