"""Takes back the last failures of an instance, so that it tries again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from localcloud.durable import events
from localcloud.durable.events import Kind
from localcloud.durable.store import Store
from localcloud.durable.turn import Progress

FAILED = """
    SELECT turns, progress
    FROM durable.instances
    WHERE instance_id = %(instance_id)s
      AND status = 'Failed'
    FOR UPDATE
"""
TURNS = """
    SELECT h.turn, h.events
    FROM durable.history AS h
    JOIN durable.instances AS i USING (instance_id, execution_id)
    WHERE h.instance_id = %(instance_id)s
    ORDER BY h.turn
"""
REWIND = """
    SELECT durable.rewind(
        %(instance_id)s, %(count)s, %(progress)s, %(turns)s::integer[], %(events)s::text[],
        %(task_ids)s::integer[], %(task_names)s::text[], %(task_inputs)s::text[], %(event)s,
        %(host)s
    )
"""

_DECISIONS = frozenset(
    {
        Kind.TASK_SCHEDULED,
        Kind.SUB_ORCHESTRATION_CREATED,
        Kind.TIMER_CREATED,
        Kind.EVENT_SENT,
    }
)
_FAILURES = frozenset({Kind.TASK_FAILED, Kind.SUB_ORCHESTRATION_FAILED})


@dataclass(slots=True)
class Taken:
    """What is taken back: turns as they are to read, what to schedule again, failed children."""

    turns: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    repeated: list[dict[str, Any]] = field(default_factory=list)
    children: dict[int, str] = field(default_factory=dict)


def take_back(history: Sequence[tuple[int, list[dict[str, Any]]]]) -> Taken:
    """Everything after the last decision that says failed.

    A failure after which the orchestrator decided something else was dealt with, and stays: its
    replay must go the same way. So does one that used up its retries, which a pause follows.
    """
    flat = [event for _, turn in history for event in turn]
    last = max((n for n, event in enumerate(flat) if event["EventType"] in _DECISIONS), default=-1)
    failed = [event for event in flat[last + 1 :] if event["EventType"] in _FAILURES]
    ids = {event["TaskScheduledId"] for event in failed}
    taken = Taken()
    for number, turn in history:
        kept = [
            event
            for event in turn
            if event["EventType"] != Kind.EXECUTION_COMPLETED and event not in failed
        ]
        if len(kept) < len(turn):
            taken.turns[number] = kept
    for event in flat:
        if event["EventId"] in ids and event["EventType"] == Kind.TASK_SCHEDULED:
            taken.repeated.append(event)
        elif event["EventId"] in ids and event["EventType"] == Kind.SUB_ORCHESTRATION_CREATED:
            taken.children[event["EventId"]] = event["InstanceId"]
    return taken


class NotFailed(Exception):
    """There is nothing to take back from this instance."""


async def rewind(store: Store, instance_id: str, reason: str | None) -> bool:
    """Take back the last failures of an instance and of its failed children, in one transaction.

    Activities that failed run again, children likewise; if the orchestrator itself failed, it is
    replayed. False when the instance has not failed, or a child that failed it did not fail itself.
    """
    try:
        async with store.transaction():
            await _rewind(store, instance_id, reason)
    except NotFailed:
        return False
    return True


async def _rewind(store: Store, instance_id: str, reason: str | None) -> None:
    params = {"instance_id": instance_id}
    found = await store.rows(FAILED, params)
    if not found:
        raise NotFailed
    count, text = found[0]
    rows = await store.rows(TURNS, params)
    taken = take_back([(turn, json.loads(f"[{of_turn}]")) for turn, of_turn in rows])
    progress = Progress.from_text(text)
    progress.open.update(taken.children, (event["EventId"] for event in taken.repeated))
    for child in taken.children.values():
        await _rewind(store, child, reason)
    await store.value(
        REWIND,
        {
            "instance_id": instance_id,
            "count": count,
            "progress": progress.to_text(),
            "turns": list(taken.turns),
            "events": [",".join(json.dumps(e) for e in turn) for turn in taken.turns.values()],
            "task_ids": [event["EventId"] for event in taken.repeated],
            "task_names": [event["Name"] for event in taken.repeated],
            "task_inputs": [event["Input"] for event in taken.repeated],
            "event": events.execution_rewound(reason),
            "host": store.host,
        },
    )
