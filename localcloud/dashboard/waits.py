"""When an orchestrator began to wait for its external events, which history itself does not say.

The engine's own notes have the actions in the order in which the orchestrator asked for them, the
waits among them. Every other action took the next sequence number, so a wait was asked for between
the turns of its neighbours, and before the turn that took its event. Of the turns that are possible
the last is chosen: right for code that does one thing after the other.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localcloud.dashboard.history import DECISIONS, FAILURES, UNSHOWN, Event
from localcloud.durable.answer import Action
from localcloud.durable.events import Kind

_WITH_RETRY = frozenset({Action.CALL_ACTIVITY_WITH_RETRY, Action.CALL_SUB_ORCHESTRATOR_WITH_RETRY})


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait: for which event, since when, and what ended it; None while it lasts."""

    name: str
    since: datetime
    event: Event | None


@dataclass(slots=True)
class _Asked:
    name: str
    first: int
    last: int


def read_waits(
    events: Sequence[Event], progress: Mapping[str, Any], answers: frozenset[str]
) -> list[Wait]:
    """Every wait that can be placed, in the order of the orchestrator.

    `answers` are the names of events that answer entity calls: nobody asked for those by name.
    """
    began = {event.turn: event.at for event in events if event.kind is Kind.ORCHESTRATOR_STARTED}
    if not began:
        return []
    asked = _asked(progress.get("actions", ()), events, last_turn=max(began))
    raised = [e for e in events if e.kind is Kind.EVENT_RAISED and e.name not in answers]
    by_name: dict[str, deque[Event]] = {}
    for arrival in raised:
        by_name.setdefault(arrival.name.casefold(), deque()).append(arrival)
    waits = []
    for wait in asked:
        arrived = by_name.get(wait.name)
        event = arrived.popleft() if arrived else None
        latest = wait.last if event is None else max(wait.first, min(wait.last, event.turn - 1))
        name = event.name if event is not None else _spelled(wait.name, progress)
        waits.append(Wait(name, began[latest], event))
    # What the notes do not explain was raised all the same.
    rest = [event for arrived in by_name.values() for event in arrived]
    return waits + [Wait(event.name, event.at, event) for event in rest]


def _spelled(name: str, progress: Mapping[str, Any]) -> str:
    """The name as the orchestrator spells it, which the engine notes for waits that last."""
    waits: Mapping[str, int] = progress.get("waits", {})
    return next((spelling for spelling in waits if spelling.casefold() == name), name)


def _asked(actions: Sequence[str], events: Sequence[Event], *, last_turn: int) -> list[_Asked]:
    """The waits among the actions with the turns between which they were asked for."""
    decided = deque(_decisions(events, actions))
    asked: list[_Asked] = []
    unplaced: list[_Asked] = []
    turn = 0
    for signature in actions:
        number, _, name = signature.partition(":")
        if int(number) == Action.WAIT_FOR_EXTERNAL_EVENT:
            unplaced.append(_Asked(name, turn, last_turn))
            asked.append(unplaced[-1])
        elif decided:
            turn = decided.popleft()
            for wait in unplaced:
                wait.last = turn
            unplaced.clear()
    return asked


def _decisions(events: Sequence[Event], actions: Sequence[str]) -> Iterator[int]:
    """The turn of each decision that is an action: not a repeated attempt, nor a pause before one.

    A retry continues with the last decision of a turn whose last message was its failure, or the
    end of its pause.
    """
    wanted = (
        int(signature.partition(":")[0])
        for signature in actions
        if not signature.startswith(f"{Action.WAIT_FOR_EXTERNAL_EVENT}:")
    )
    retried: set[int] = set()
    for turn, decisions, taken in _turns(events):
        again = taken is not None and taken.answers in retried
        for decision in decisions[: len(decisions) - again]:
            if next(wanted, None) in _WITH_RETRY:
                retried.add(decision.id)
            yield turn
        # The pause after the last failure leads nowhere: it is over at once.
        if again and decisions and decisions[-1].fires_at != decisions[-1].at:
            retried.add(decisions[-1].id)


def _turns(events: Sequence[Event]) -> Iterator[tuple[int, list[Event], Event | None]]:
    """Each turn's decisions, and its last message if that may continue a retry."""
    by_turn: dict[int, list[Event]] = {}
    for event in events:
        by_turn.setdefault(event.turn, []).append(event)
    for turn, of_turn in by_turn.items():
        decisions = [event for event in of_turn if event.kind in DECISIONS]
        messages = [event for event in of_turn if event.id < 0 and event.kind not in UNSHOWN]
        last = messages[-1] if messages else None
        continues = last is not None and last.kind in FAILURES | {Kind.TIMER_FIRED}
        yield turn, decisions, last if continues else None
