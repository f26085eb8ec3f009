"""Reads what was sent: for the pages, and as JSON for tests and the dashboard."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from localcloud.communication.drafts import iso
from localcloud.communication.mailbox import operation
from localcloud.partners.store import JsonObject, Store

LINE_LENGTH: Final = 120

_SEVERITY: Final = (
    *("Bounced", "Failed", "Suppressed", "FilteredSpam", "Quarantined"),
    *(None, "Expanded", "Delivered"),
)

MESSAGES = """
    SELECT m.seq, m.id, m.channel, m.sent_at, m.sender, m.subject, m.text, m.html, m.headers,
           m.reply_to, m.tag, m.runs_at, m.settles_at, m.error
    FROM messages AS m
    WHERE m.seq > :after
      AND m.sent_at >= :since
      AND (:channel IS NULL OR m.channel = :channel)
      AND (:to IS NULL OR m.seq IN (SELECT r.seq FROM recipients AS r WHERE r.address_key = :to))
    ORDER BY m.seq
    LIMIT :limit
"""
ONE = """
    SELECT m.seq, m.id, m.channel, m.sent_at, m.sender, m.subject, m.text, m.html, m.headers,
           m.reply_to, m.tag, m.runs_at, m.settles_at, m.error
    FROM messages AS m
    WHERE m.seq = :seq
"""
NEWEST = """
    SELECT m.seq, m.id, m.channel, m.sent_at, m.sender, m.subject, substr(m.text, 1, 400) AS text
    FROM messages AS m
    WHERE m.seq < :before
      AND (:channel IS NULL OR m.channel = :channel)
      AND (:to IS NULL OR m.seq IN (SELECT r.seq FROM recipients AS r WHERE r.address_key = :to))
      AND (
          :words IS NULL
          OR m.subject LIKE :words ESCAPE '\\'
          OR m.text LIKE :words ESCAPE '\\'
          OR m.seq IN (
              SELECT r.seq
              FROM recipients AS r
              WHERE r.address_key LIKE :words ESCAPE '\\'
          )
      )
    ORDER BY m.seq DESC
    LIMIT :limit
"""
RECIPIENTS = """
    SELECT seq, kind, address, display_name, status, detail, reported_at
    FROM recipients
    WHERE seq IN (SELECT value FROM json_each(:seqs))
    ORDER BY id
"""
ATTACHMENTS = """
    SELECT seq, number, name, content_type, content_id, length(content) AS size
    FROM attachments
    WHERE seq IN (SELECT value FROM json_each(:seqs))
    ORDER BY seq, number
"""
THREAD = """
    SELECT m.seq, m.text, m.sent_at, r.status
    FROM recipients AS r
    JOIN messages AS m ON m.seq = r.seq
    WHERE r.address_key = :address AND m.channel = 'sms' AND m.sender = :sender
    ORDER BY m.seq DESC
    LIMIT :limit
"""
HISTORY = """
    SELECT event_id, address, status, detail, due_at, wanted, published_at, refusal
    FROM reports
    WHERE message_id = :message_id AND received = 1
    ORDER BY due_at, number
    LIMIT 500
"""
MESSAGE_COUNTS = """
    SELECT channel, count(*) AS messages
    FROM messages
    GROUP BY channel
"""
RECIPIENT_COUNTS = """
    SELECT channel, status, count(*) AS recipients
    FROM recipients
    GROUP BY channel, status
"""


@dataclass(frozen=True)
class Line:
    """A message as a list shows it."""

    seq: int
    id: str
    channel: str
    sent_at: str
    sender: str
    title: str
    """The subject, or the start of an SMS."""
    extract: str
    recipients: Sequence[sqlite3.Row]

    @property
    def url(self) -> str:
        return page_of(self.seq)

    @property
    def status(self) -> str | None:
        """What became of it: the worst that is known, None while that is nothing final."""
        return worst([to["status"] for to in self.recipients])


@dataclass(frozen=True)
class Wanted:
    """Which messages a list is to show."""

    channel: str | None = None
    to: str | None = None
    words: str | None = None
    before: int | None = None


def worst(statuses: Sequence[str | None]) -> str | None:
    """The status that a person should see first; None stands for "nothing known yet"."""
    return min(statuses, key=_SEVERITY.index, default=None)


def page_of(seq: int) -> str:
    """Where the page of a message is."""
    return f"/mail/{seq}"


def messages(
    store: Store,
    *,
    channel: str | None,
    to: str | None,
    since: int | str,
    limit: int,
) -> list[JsonObject]:
    """Messages in full, oldest first: those after a number, or from a time on."""
    selection = {
        "after": since if isinstance(since, int) else 0,
        "since": since if isinstance(since, str) else "",
        "channel": channel,
        "to": None if to is None else to.lower(),
        "limit": limit,
    }
    return _in_full(store, store.rows(MESSAGES, selection))


def message(store: Store, seq: int) -> JsonObject | None:
    """One message in full."""
    found = _in_full(store, store.rows(ONE, {"seq": seq}))
    return found[0] if found else None


def newest(store: Store, wanted: Wanted, limit: int) -> list[Line]:
    """The newest messages that are wanted, newest first."""
    words = wanted.words
    if words is not None:
        for special in ("\\", "%", "_"):
            words = words.replace(special, f"\\{special}")
        words = f"%{words}%"
    selection = {
        "before": wanted.before if wanted.before is not None else 2**62,
        "channel": wanted.channel,
        "to": None if wanted.to is None else wanted.to.lower(),
        "words": words,
        "limit": limit,
    }
    rows = store.rows(NEWEST, selection)
    recipients = _by_message(store, RECIPIENTS, rows)
    return [_line(row, recipients.get(row["seq"], [])) for row in rows]


def _line(row: sqlite3.Row, recipients: Sequence[sqlite3.Row]) -> Line:
    text = " ".join((row["text"] or "").split())
    title = row["subject"] if row["subject"] is not None else text
    return Line(
        row["seq"],
        row["id"],
        row["channel"],
        row["sent_at"],
        row["sender"],
        title,
        text if row["channel"] == "sms" else text[:LINE_LENGTH],
        recipients,
    )


def thread(store: Store, sender: str, address: str, limit: int) -> list[sqlite3.Row]:
    """The newest texts from one number to another, oldest first."""
    selection = {"sender": sender, "address": address, "limit": limit}
    return store.rows(THREAD, selection)[::-1]


def history(store: Store, message_id: str) -> list[sqlite3.Row]:
    """The reports about a message that have been received, in the order of their times."""
    return store.rows(HISTORY, {"message_id": message_id})


def counts(store: Store) -> JsonObject:
    """Messages and recipients of each channel, and how the recipients fared."""
    sent = {row["channel"]: row["messages"] for row in store.rows(MESSAGE_COUNTS, {})}
    fates: dict[str, dict[str | None, int]] = {"email": {}, "sms": {}}
    for row in store.rows(RECIPIENT_COUNTS, {}):
        fates[row["channel"]][row["status"]] = row["recipients"]
    return {
        channel: {
            "messages": sent.get(channel, 0),
            "recipients": sum(by_status.values()),
            "awaiting": by_status.get(None, 0),
            "by_status": {status: n for status, n in by_status.items() if status is not None},
        }
        for channel, by_status in fates.items()
    }


def _by_message(
    store: Store, query: str, rows: Sequence[sqlite3.Row]
) -> Mapping[int, list[sqlite3.Row]]:
    found: dict[int, list[sqlite3.Row]] = {}
    for row in store.rows(query, {"seqs": json.dumps([row["seq"] for row in rows])}):
        found.setdefault(row["seq"], []).append(row)
    return found


def _in_full(store: Store, rows: Sequence[sqlite3.Row]) -> list[JsonObject]:
    recipients = _by_message(store, RECIPIENTS, rows)
    attachments = _by_message(store, ATTACHMENTS, rows)
    return [
        _described(row, recipients.get(row["seq"], []), attachments.get(row["seq"], []))
        for row in rows
    ]


def _described(
    row: sqlite3.Row, recipients: Sequence[sqlite3.Row], attachments: Sequence[sqlite3.Row]
) -> JsonObject:
    named = {
        kind: [to["address"] for to in recipients if to["kind"] == kind]
        for kind in ("to", "cc", "bcc")
    }
    return {
        "seq": row["seq"],
        "id": row["id"],
        "channel": row["channel"],
        "sent_at": row["sent_at"],
        "from": row["sender"],
        **named,
        "subject": row["subject"],
        "text": row["text"],
        "html": row["html"],
        "headers": json.loads(row["headers"]),
        "reply_to": json.loads(row["reply_to"]),
        "attachments": [
            {"name": one["name"], "content_type": one["content_type"], "size": one["size"]}
            for one in attachments
        ],
        "tag": row["tag"],
        "status": operation(row, time.time())["status"],
        "recipients": [
            {
                "address": to["address"],
                "kind": to["kind"],
                "status": to["status"],
                "detail": to["detail"],
                "reported_at": None if to["reported_at"] is None else iso(to["reported_at"]),
            }
            for to in recipients
        ],
        "url": page_of(row["seq"]),
    }
