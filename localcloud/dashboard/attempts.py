"""The details of a lane: its attempts with their times, and what went in and came out."""

from datetime import datetime

from localcloud.dashboard.lanes import Bar, End, Lane, Sort
from localcloud.dashboard.markup import Child, Html, el
from localcloud.dashboard.page import facts, instance_link
from localcloud.dashboard.values import Payload, lasting, moment, payload


def details(lane: Lane, seen_at: datetime) -> Html:
    """Everything that is known of the lane's attempts, the oldest first."""
    input_ = lane.bars[0].input
    given = None if input_ is None else facts([("input", payload(input_, key=f"{lane.key}-input"))])
    told = [
        facts(_facts(bar, lane, f"{lane.key}-{number}", seen_at))
        for number, bar in enumerate(lane.bars, start=1)
    ]
    if len(told) == 1:
        return el("div", given, told, class_="opened")
    attempts = [
        el("li", el("h4", f"Attempt {number} of {len(told)}"), one)
        for number, one in enumerate(told, start=1)
    ]
    return el("div", given, el("ol", attempts, class_="attempts"), class_="opened")


def _facts(bar: Bar, lane: Lane, key: str, seen_at: datetime) -> list[tuple[str, Child]]:
    waits = lane.sort is Sort.EVENT
    entries: list[tuple[str, Child]] = [("waited since" if waits else "scheduled", moment(bar.at))]
    if bar.began_at is not None:
        entries.append(("first turn", moment(bar.began_at)))
    if bar.fires_at is not None:
        entries.append(("due", moment(bar.fires_at)))
    if bar.until is not None and bar.end is not End.UNFINISHED:
        entries.append(("came" if waits else "ended", moment(bar.until)))
    took = lasting(((bar.until or seen_at) - bar.at).total_seconds())
    entries.append(("outcome", f"{bar.end}, {took}"))
    if bar.note:
        entries.append(("now" if bar.end is End.OPEN else "note", bar.note))
    if bar.child_id:
        entries.append(("instance", instance_link(bar.child_id)))
    if bar.result is not None:
        entries.append(("data" if waits else "result", payload(bar.result, key=f"{key}-result")))
    if bar.reason:
        entries.append(("reason", payload(Payload.of(bar.reason), key=f"{key}-reason")))
    if bar.paused_until is not None:
        entries.append(("next attempt", moment(bar.paused_until)))
    return entries
