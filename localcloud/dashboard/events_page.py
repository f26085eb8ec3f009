"""The page of Event Grid: its topics and subscriptions, what waits, what could not be delivered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from localcloud.dashboard.markup import Child, Html, el
from localcloud.dashboard.neighbours import Silent
from localcloud.dashboard.page import cell, live, problem, said, table
from localcloud.dashboard.values import moment

EVENTS_PATH: Final = "/events"
_REFRESH_MS: Final = 5000
_SUBSCRIPTION: Final = (
    *("Subscription", "Takes", "Goes to", "Delivered", "Pending", "Failed attempts"),
    *("Dead letters", "Next attempt (UTC)", "Last error"),
)
_DEAD: Final = ("Event", "Subscription", "Why", "Attempts", "Given up (UTC)", "Blob")


@dataclass(frozen=True, slots=True)
class Grid:
    """What Event Grid says of itself."""

    overview: Mapping[str, Any]
    dead_letters: Sequence[Mapping[str, Any]]


def events_body(grid: Grid | Silent) -> list[Child]:
    """The whole page."""
    return [el("h1", "Event Grid"), events_content(grid), said("")]


def events_content(grid: Grid | Silent) -> Html:
    """All of it but the frame."""
    if isinstance(grid, Silent):
        what = el("section", problem(str(grid), grid.advice), id="topics")
        return live(what, every_ms=_REFRESH_MS, say=str(grid))
    topics = grid.overview.get("topics") or []
    say = in_short(grid.overview)
    none = el("p", "There is no topic.", class_="empty")
    return live(
        el("section", el("p", say), id="totals"),
        [_topic(topic) for topic in topics] or el("section", none, id="topics"),
        _dead(grid.dead_letters),
        every_ms=_REFRESH_MS,
        say=say,
    )


def in_short(overview: Mapping[str, Any]) -> str:
    """How Event Grid stands, in a sentence."""
    totals = overview.get("totals") or {}
    return (
        f"{totals.get('published', 0)} events published, {totals.get('delivered', 0)} delivered,"
        f" {totals.get('pending', 0)} pending, {totals.get('dead_lettered', 0)} dead letters,"
        f" {totals.get('dropped', 0)} dropped."
    )


def _topic(topic: Mapping[str, Any]) -> Html:
    name = str(topic["name"])
    rows = [_subscription(each) for each in topic.get("subscriptions") or []]
    kind = "System topic" if topic.get("kind") == "system_topic" else "Topic"
    summary = (
        f"{topic.get('published', 0)} published, {topic.get('unmatched', 0)} of them wanted by no"
        f" subscription, {topic.get('refused', 0)} requests refused. The last event: "
    )
    shown: Child = el("p", "No subscription.", class_="empty")
    if rows:
        shown = table(f"Subscriptions of {name}", _SUBSCRIPTION, rows, class_="grid")
    return el(
        "section",
        el("h2", f"{kind} ", el("code", name)),
        el("p", summary, moment(at(topic.get("last_published_at")), absent="none yet"), "."),
        shown,
        id=f"topic-{name}",
    )


def _subscription(found: Mapping[str, Any]) -> Html:
    state = found.get("provisioning_state")
    target = found.get("destination") or {}
    return el(
        "tr",
        cell(
            "Subscription",
            el("b", found.get("name")),
            None if state == "Succeeded" else el("span", state, class_="badge"),
        ),
        cell("Takes", found.get("filter"), class_="words"),
        cell("Goes to", el("b", target.get("name")), el("small", target.get("type"))),
        cell("Delivered", found.get("delivered", 0), class_="count"),
        cell("Pending", found.get("pending", 0), class_="count"),
        cell("Failed attempts", found.get("failed_attempts", 0), class_="count"),
        cell("Dead letters", *_losses(found), class_="count"),
        cell("Next attempt (UTC)", moment(at(found.get("next_attempt_at")))),
        cell("Last error", *_last_error(found)),
    )


def _losses(found: Mapping[str, Any]) -> list[Child]:
    dead, dropped = found.get("dead_lettered", 0), found.get("dropped", 0)
    return [
        el("span", "! ", dead, class_="badge failed") if dead else 0,
        el("small", f"{dropped} dropped") if dropped else None,
    ]


def _last_error(found: Mapping[str, Any]) -> list[Child]:
    error = found.get("last_error")
    if not error:
        return ["–"]
    return [str(error), el("small", moment(at(found.get("last_error_at"))))]


def _dead(letters: Sequence[Mapping[str, Any]]) -> Html:
    rows = [
        el(
            "tr",
            cell("Event", el("b", each.get("event_type")), _small(each.get("event_id"))),
            cell("Subscription", f"{each.get('topic')}/{each.get('subscription')}"),
            cell("Why", str(each.get("reason")), _small(each.get("outcome"))),
            cell("Attempts", each.get("attempts", 0), class_="count"),
            cell("Given up (UTC)", moment(at(each.get("given_up_at")))),
            cell("Blob", _blob(each)),
        )
        for each in letters
    ]
    shown: Child = el("p", "No event was given up.", class_="empty")
    if rows:
        shown = table("The newest first, at most 50", _DEAD, rows, class_="given-up")
    return el("section", el("h2", "Dead letters"), shown, id="dead-letters")


def _blob(letter: Mapping[str, Any]) -> Child:
    blob = letter.get("blob")
    return el("code", blob) if blob else str(letter.get("status"))


def _small(text: object) -> Child:
    return el("small", el("code", str(text))) if text else None


def at(text: object) -> datetime | None:
    """A time that another part tells, or None."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
