"""The page of all messages: every queue, every topic with its subscriptions, what lies in them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from localcloud.dashboard.mailboxes import Mailbox
from localcloud.dashboard.markup import Child, Html, el
from localcloud.dashboard.page import cell, live, problem, said, table
from localcloud.dashboard.peeking import Peeked
from localcloud.dashboard.values import iso, lasting

MESSAGES_PATH: Final = "/messages"
DEAD_PATH: Final = f"{MESSAGES_PATH}/dead-letters"
WAITING_PATH: Final = f"{MESSAGES_PATH}/waiting"
SEEN: Final = 250
"""Messages of one queue that are looked at for the oldest, the locked and the sessions."""
ADVICE: Final = "`python -m localcloud logs servicebus` may have the reason."

_REFRESH_MS: Final = 5000
_LONGEST_S: Final = 120.0
_NUMBERS: Final = ("Active", "Scheduled", "Dead letters", "Oldest", "Change")
_QUEUE: Final = ("Queue", *_NUMBERS[:4], "Sessions", _NUMBERS[4])
_SUBSCRIPTION: Final = ("Subscription", "Takes", "Goes to", *_NUMBERS)


@dataclass(frozen=True, slots=True)
class Depth:
    """What a look into one queue found; not `whole` when there was more than is looked at."""

    oldest_at: datetime | None = None
    locked: int = 0
    deferred: int = 0
    sessions: int = 0
    whole: bool = True

    @classmethod
    def of(cls, messages: Sequence[Peeked]) -> "Depth":
        states = [message.state for message in messages]
        waiting = [message for message in messages if message.state != "scheduled"]
        times = [message.enqueued_at for message in waiting if message.enqueued_at is not None]
        return cls(
            min(times, default=None),
            states.count("locked"),
            states.count("deferred"),
            len({message.session for message in waiting if message.session}),
            len(messages) < SEEN,
        )


@dataclass(frozen=True, slots=True)
class Post:
    """All mailboxes, the words for their filters, and what was seen in those that are not empty.

    `trouble` says why nothing could be seen.
    """

    mailboxes: Sequence[Mailbox]
    filters: Mapping[str, str]
    depths: Mapping[str, Depth]
    changes: Mapping[str, str]
    scheduled: Mapping[str, int]
    trouble: str = ""


@dataclass(slots=True)
class Sightings:
    """How many messages there were at the last look of anybody."""

    _at: float = 0.0
    _counts: dict[str, tuple[int, int]] = field(default_factory=dict)

    def changes(self, mailboxes: Sequence[Mailbox]) -> Mapping[str, str]:
        """What has come or gone since then, in words; nothing when that was long ago."""
        now = time.monotonic()
        took_s, before = now - self._at, self._counts
        self._at = now
        self._counts = {m.name: (m.active + m.scheduled, m.dead_letters) for m in mailboxes}
        if took_s > _LONGEST_S:
            return {}
        return {
            name: words
            for name, counts in self._counts.items()
            if name in before and (words := _change(before[name], counts, took_s))
        }


def _change(before: tuple[int, int], now: tuple[int, int], took_s: float) -> str:
    waiting, dead = (new - old for old, new in zip(before, now, strict=True))
    parts = [f"{waiting:+} waiting"] if waiting else []
    parts += [f"{dead:+} dead"] if dead else []
    return f"{', '.join(parts)} in {lasting(took_s)}" if parts else ""


def messages_body(post: Post | str) -> list[Child]:
    """The whole page."""
    return [el("h1", "Messages"), messages_content(post), said("")]


def messages_content(post: Post | str) -> Html:
    """All of it but the frame."""
    if isinstance(post, str):
        what = el("section", problem(post, ADVICE), id="queues")
        return live(what, every_ms=_REFRESH_MS, say=post)
    dead = sum(mailbox.dead_letters for mailbox in post.mailboxes)
    say = f"{dead or 'No'} dead letter{'' if dead == 1 else 's'}."
    topics: dict[str, list[Mailbox]] = {}
    for mailbox in post.mailboxes:
        topic, _, subscription = mailbox.name.partition("/")
        if subscription:
            topics.setdefault(topic, []).append(mailbox)
    return live(
        _queues(post, say),
        [_topic(post, name, subscriptions) for name, subscriptions in topics.items()],
        el(
            "section",
            el(
                "p",
                "Active messages include those that are locked or deferred. Looking locks nothing"
                f" and counts as no delivery; at most {SEEN} messages of a queue are looked at."
                " A change is one since anybody's last look.",
                class_="note",
            ),
            id="notes",
        ),
        every_ms=_REFRESH_MS,
        say=say,
    )


def _queues(post: Post, say: str) -> Html:
    rows = [
        el("tr", cell("Queue", _named(mailbox)), _numbers(post, mailbox, sessions=True))
        for mailbox in post.mailboxes
        if "/" not in mailbox.name
    ]
    shown = table("Queues", _QUEUE, rows, class_="queues") if rows else _none("There is no queue.")
    trouble = f"The messages themselves cannot be looked at: {post.trouble}"
    return el(
        "section",
        problem(trouble, ADVICE) if post.trouble else None,
        el("h2", "Queues"),
        el("p", say),
        shown,
        id="queues",
    )


def _topic(post: Post, name: str, subscriptions: Sequence[Mailbox]) -> Html:
    scheduled = post.scheduled.get(name, 0)
    rows = [
        el(
            "tr",
            cell("Subscription", _named(mailbox)),
            cell("Takes", post.filters.get(mailbox.name, "–"), class_="words"),
            cell("Goes to", el("b", mailbox.forward_to) if mailbox.forward_to else "its readers"),
            _numbers(post, mailbox, sessions=False),
        )
        for mailbox in subscriptions
    ]
    return el(
        "section",
        el("h2", "Topic ", el("code", name)),
        el("p", f"{scheduled} scheduled: they go on when it is their time.") if scheduled else None,
        table(f"Subscriptions of {name}", _SUBSCRIPTION, rows, class_="subscriptions"),
        id=f"topic-{name}",
    )


def _named(mailbox: Mailbox) -> list[Child]:
    name = mailbox.name.rpartition("/")[2]
    kinds = ["in sessions"] if mailbox.in_sessions else []
    kinds += [] if mailbox.status == "Active" else [mailbox.status]
    return [el("b", name), el("small", ", ".join(kinds)) if kinds else None]


def _numbers(post: Post, mailbox: Mailbox, *, sessions: bool) -> list[Child]:
    depth = post.depths.get(mailbox.name)
    within = []
    if depth is not None:
        within += [f"{depth.locked} locked"] if depth.locked else []
        within += [f"{depth.deferred} deferred"] if depth.deferred else []
    active: Child = mailbox.active
    if mailbox.active or mailbox.scheduled:
        active = el("a", mailbox.active, href=entity_url(WAITING_PATH, mailbox.name))
    cells: list[Child] = [
        cell("Active", active, el("small", ", ".join(within)) if within else None, class_="count"),
        cell("Scheduled", mailbox.scheduled, class_="count"),
        cell("Dead letters", _dead(mailbox), class_="count"),
        cell("Oldest", _age(depth), class_="count"),
    ]
    if sessions:
        cells.append(cell("Sessions", _sessions(mailbox, depth), class_="count"))
    return [*cells, cell("Change", post.changes.get(mailbox.name) or "–")]


def _age(depth: Depth | None) -> Child:
    if depth is None or depth.oldest_at is None:
        return "–"
    age_s = (datetime.now(UTC) - depth.oldest_at).total_seconds()
    return el("time", lasting(age_s), datetime=iso(depth.oldest_at), title=iso(depth.oldest_at))


def _sessions(mailbox: Mailbox, depth: Depth | None) -> str:
    if not mailbox.in_sessions:
        return "–"
    if depth is None:
        return "0"
    return f"{depth.sessions}" if depth.whole else f"{depth.sessions} or more"


def _dead(mailbox: Mailbox) -> list[Child]:
    url = entity_url(DEAD_PATH, mailbox.name)
    return [
        dead_letters(mailbox.dead_letters, url),
        el("small", f"{mailbox.transfer_dead_letters} in transfer")
        if mailbox.transfer_dead_letters
        else None,
    ]


def dead_letters(count: int, url: str) -> Child:
    """Their number, marked and with a way to them if there are any."""
    if not count:
        return 0
    mark = el("span", "!", aria_hidden="true")
    return el("a", mark, f" {count}", href=url, class_="badge failed")


def entity_url(path: str, entity: str, **more: int | str) -> str:
    """The address of a list or of one message of an entity."""
    return f"{path}?{urlencode({'entity': entity, **more})}"


def _none(what: str) -> Html:
    return el("p", what, class_="empty")
