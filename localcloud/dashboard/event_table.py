"""The plain table of a history, event by event, as the engine wrote it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from localcloud.dashboard.history import UNSHOWN, Event
from localcloud.dashboard.markup import Child, Html, el
from localcloud.dashboard.page import cell, instance_link, table
from localcloud.dashboard.values import Payload, lasting, moment, payload
from localcloud.durable.events import Kind

_HEADINGS = ("Time (UTC)", "Type", "Name", "Result", "Details")
_NAMELESS = "–"


def shown(events: Sequence[Event]) -> list[Event]:
    """What the table lists: everything but the beginnings and ends of turns."""
    return [event for event in events if event.kind not in UNSHOWN]


def event_table(
    events: Sequence[Event], history: Sequence[Event], start: datetime, *, first: int
) -> Html:
    """`events` out of the whole `history`; `first` is the number of the first of them."""
    names = {event.id: event.name for event in history if event.id >= 0}
    rows = [_row(event, names, start, number) for number, event in enumerate(events, start=first)]
    caption = f"Events {first} to {first + len(events) - 1}, oldest first"
    return table(caption, _HEADINGS, rows, class_="events")


def _row(event: Event, names: Mapping[int, str], start: datetime, number: int) -> Html:
    since = lasting((event.at - start).total_seconds())
    failed = event.kind in {Kind.TASK_FAILED, Kind.SUB_ORCHESTRATION_FAILED}
    return el(
        "tr",
        cell("Time (UTC)", moment(event.at), el("small", f"+{since}")),
        cell("Type", "✕ " if failed or event.reason == "Failed" else None, event.type),
        cell("Name", _name(event, names)),
        cell("Result", _result(event, f"event-{number}")),
        cell("Details", _details(event, f"event-{number}")),
        id=f"event-{number}",
        class_="failed" if failed else None,
    )


def _name(event: Event, names: Mapping[int, str]) -> str:
    if event.kind is Kind.EVENT_SENT:
        return f"{event.entity_id} {event.name}"
    if event.kind in {Kind.TIMER_CREATED, Kind.TIMER_FIRED}:
        return "timer"
    if event.answers is not None:
        return names.get(event.answers, _NAMELESS)
    return event.name or _NAMELESS


def _result(event: Event, key: str) -> Child:
    reason = payload(Payload.of(event.reason), key=f"{key}-reason") if event.reason else None
    if event.kind is Kind.EXECUTION_COMPLETED:
        reason = el("b", event.reason)
    if event.result is None:
        return reason or _NAMELESS
    return reason, payload(event.result, key=f"{key}-result")


def _details(event: Event, key: str) -> Child:
    parts: list[Child] = []
    if event.child_id:
        parts.append(el("p", "instance ", instance_link(event.child_id)))
    if event.fires_at is not None:
        parts.append(el("p", "due ", moment(event.fires_at)))
    if event.request is not None and event.request.signal:
        parts.append(el("p", "a signal: nobody waits for an answer"))
    if event.input is not None:
        parts.append(payload(event.input, key=f"{key}-input"))
    if event.details is not None:
        parts.append(payload(event.details, key=f"{key}-details"))
    return parts or _NAMELESS
