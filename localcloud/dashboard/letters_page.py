"""The messages of one queue, and one of them as a whole: dead letters, or those that wait."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from localcloud.dashboard.markup import Child, Html, el
from localcloud.dashboard.messages_page import (
    ADVICE,
    DEAD_PATH,
    MESSAGES_PATH,
    WAITING_PATH,
    entity_url,
)
from localcloud.dashboard.page import cell, facts, instance_link, live, problem, said, table
from localcloud.dashboard.peeking import Peeked
from localcloud.dashboard.values import moment, payload

PAGE: Final = 25
RUNBOOK: Final = "docs/runbooks/dead-letters.md"

_REFRESH_MS: Final = 5000
_DEAD: Final = ("Number", "Event", "Why", "Deliveries", "Enqueued (UTC)", "Order", "Correlation")
_WAITING: Final = ("Number", "Event", "State", "Deliveries", "Enqueued (UTC)", "Order", "Session")


@dataclass(frozen=True, slots=True)
class Letters:
    """One page of an entity's messages from a sequence number on, in their order.

    `reasons` are the consumers' own, by message id; `trouble` says why they could not be read.
    """

    entity: str
    dead: bool
    begin: int
    messages: Sequence[Peeked]
    reasons: Mapping[str, Sequence[str]]
    trouble: str = ""

    @property
    def path(self) -> str:
        return DEAD_PATH if self.dead else WAITING_PATH

    @property
    def title(self) -> str:
        return f"{'Dead letters' if self.dead else 'Messages'} of {self.entity}"


def letters_body(letters: Letters | str, title: str) -> list[Child]:
    """The whole list."""
    return [
        el("nav", el("a", "All messages", href=MESSAGES_PATH), class_="way", aria_label="Way"),
        el("h1", title),
        letters_content(letters),
        said(""),
    ]


def letters_content(letters: Letters | str) -> Html:
    """All of it but the frame."""
    if isinstance(letters, str):
        what = el("section", problem(letters, ADVICE), id="letters")
        return live(what, every_ms=_REFRESH_MS, say=letters)
    say = f"{len(letters.messages)} on this page."
    return live(
        el(
            "section",
            problem(letters.trouble, "The broker's own reasons are shown.")
            if letters.trouble
            else None,
            _listed(letters),
            _pager(letters),
            el(
                "p",
                "How to send them again: ",
                el("code", RUNBOOK),
                " in the project.",
                class_="note",
            )
            if letters.dead and letters.messages
            else None,
            id="letters",
        ),
        every_ms=_REFRESH_MS if letters.begin == 1 else None,
        say=say,
    )


def _listed(letters: Letters) -> Html:
    if not letters.messages:
        what = "There is no dead letter." if letters.dead else "There is no message."
        if letters.begin > 1:
            what = "There is nothing beyond this."
        return el("p", what, class_="empty")
    headings = _DEAD if letters.dead else _WAITING
    rows = [_row(letters, message) for message in letters.messages]
    return table("In the order of their numbers", headings, rows, class_="letters")


def _row(letters: Letters, message: Peeked) -> Html:
    url = entity_url(letters.path, letters.entity, sequence=message.sequence)
    return el(
        "tr",
        cell("Number", el("a", message.sequence, href=url), class_="count"),
        cell("Event", _event(message)),
        cell("Why", *_why(letters, message))
        if letters.dead
        else cell("State", message.state, el("small", message.source) if message.source else None),
        cell("Deliveries", message.delivery_count, class_="count"),
        cell("Enqueued (UTC)", moment(message.enqueued_at)),
        cell("Order", order_link(message.order_id)),
        cell("Correlation", _code(message.correlation_id))
        if letters.dead
        else cell("Session", _code(message.session)),
    )


def _event(message: Peeked) -> list[Child]:
    return [el("b", message.type or "no type"), el("small", el("code", message.message_id))]


def _why(letters: Letters, message: Peeked) -> list[Child]:
    own = letters.reasons.get(message.message_id, ())
    return [
        el("span", message.reason or "without a reason", class_="badge failed"),
        el("small", message.description) if message.description else None,
        el("small", f"from {message.source}") if message.source else None,
        [el("p", reason) for reason in own],
    ]


def _code(text: str) -> Child:
    return el("code", text) if text else "–"


def order_link(order_id: str) -> Child:
    """A link to the orchestration of an order, if that is what it is."""
    try:
        return instance_link(str(UUID(order_id)))
    except ValueError:
        return order_id or "–"


def _pager(letters: Letters) -> Child:
    links: list[Child] = []
    if letters.begin > 1:
        links.append(el("a", "From the beginning", href=entity_url(letters.path, letters.entity)))
    if len(letters.messages) == PAGE:
        beyond = letters.messages[-1].sequence + 1
        url = entity_url(letters.path, letters.entity, begin=beyond)
        links.append(el("a", "Next", href=url, rel="next"))
    return el("nav", links, class_="pager", aria_label="Pages") if links else None


def letter_body(letters: Letters, message: Peeked) -> list[Child]:
    """One message with everything that it carries."""
    entries: list[tuple[str, Child]] = [
        ("event", message.type or "–"),
        ("message id", _code(message.message_id)),
        ("session", _code(message.session)),
        ("order", order_link(message.order_id)),
        ("correlation id", _code(message.correlation_id)),
        ("enqueued (UTC)", moment(message.enqueued_at)),
        ("deliveries", str(message.delivery_count)),
        ("state", message.state),
    ]
    if message.source:
        entries.append(("dead letter of", message.source))
    properties = [(name, value) for name, value in message.properties.items() if name != "type"]
    back = el("a", letters.title, href=entity_url(letters.path, letters.entity))
    return [
        el("nav", back, class_="way", aria_label="Way"),
        el("h1", f"Message {message.sequence}"),
        _verdict(letters, message),
        el("section", facts(entries), id="facts"),
        el("section", el("h2", "Properties"), facts(properties), id="properties")
        if properties
        else None,
        el("section", el("h2", "Body"), payload(message.body, key="body"), id="content"),
    ]


def _verdict(letters: Letters, message: Peeked) -> Child:
    if not letters.dead:
        return None
    return el("div", _why(letters, message), class_="problem")
