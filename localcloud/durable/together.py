"""Writes answers of activities, those of one execution that come at a time in one transaction."""

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING

import psycopg

from localcloud.durable.task import LeasedTask
from localcloud.durable.task_store import Completed, TaskStore

if TYPE_CHECKING:
    from localcloud.durable.activities import Activities

_PAUSES = 3.0
"""While many activities of an instance run, it rests this many times as long as it replays."""

_LONGEST_PAUSE_S = 1.0

type Written = asyncio.Future[bool]


class Together:
    """Writes the answers of one execution's activities, those that come meanwhile together."""

    def __init__(self, activities: "Activities", store: TaskStore) -> None:
        self._activities, self._store = activities, store
        self._waiting: dict[tuple[str, str], list[tuple[LeasedTask, str, Written]]] = {}
        self._writers: set[asyncio.Task[None]] = set()

    async def add(self, leased: LeasedTask, event: str) -> bool:
        """Write one answer; whether the activity's lease still held."""
        key = (leased.instance_id, leased.execution_id)
        written: Written = asyncio.get_running_loop().create_future()
        if key not in self._waiting:
            self._waiting[key] = []
            writer = asyncio.create_task(self._write_all(key))
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        self._waiting[key].append((leased, event, written))
        return await written

    async def ended(self) -> None:
        """Return when nothing is being written."""
        if self._writers:
            await asyncio.wait(self._writers)

    async def _write_all(self, key: tuple[str, str]) -> None:
        while answers := self._waiting[key]:
            self._waiting[key] = []
            try:
                done = await self._write([(leased, event) for leased, event, _ in answers])
            except psycopg.Error as problem:
                for _, _, written in answers:
                    if not written.done():
                        written.set_exception(problem)
            else:
                for leased, _, written in answers:
                    if not written.done():
                        written.set_result(leased.event_id in done)
        del self._waiting[key]

    async def _write(self, answers: list[tuple[LeasedTask, str]]) -> Collection[int]:
        turns = self._activities.turns
        known = turns.memory.of(answers[0][0].instance_id, answers[0][0].execution_id)
        pause_s = min(_PAUSES * known.took_s, _LONGEST_PAUSE_S) if known else 0.0
        room = turns.reserve(1, continues=True)
        completed: Completed | None = None
        try:
            completed = await self._activities.persist(
                lambda: self._store.complete_tasks(answers, take=bool(room), pause_s=pause_s)
            )
        finally:
            if completed is None or completed.turn is None:
                turns.release(room)
        if completed.turn is not None:
            turns.adopt([completed.turn])
        elif completed.ready_at is not None:
            turns.alarm.ring_at(completed.ready_at)
        return completed.done
