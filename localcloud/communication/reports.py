"""Delivery reports: what is said about each recipient, and the outbox that carries it away.

A report is planned with its event in the transaction that takes the message, so none is lost; it
counts as received once its time has come.
Sources: https://learn.microsoft.com/azure/event-grid/communication-services-email-events and
https://learn.microsoft.com/azure/event-grid/communication-services-telephony-sms-events
"""

import json
import sqlite3
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from localcloud.communication.outcomes import Outcome
from localcloud.partners.store import JsonObject, Store

EMAIL_REPORT: Final = "Microsoft.Communication.EmailDeliveryReportReceived"
ENGAGEMENT: Final = "Microsoft.Communication.EmailEngagementTrackingReportReceived"
SMS_REPORT: Final = "Microsoft.Communication.SMSDeliveryReportReceived"

SCHEMA = """
    CREATE TABLE IF NOT EXISTS reports (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id TEXT NOT NULL,
        recipient_id INTEGER REFERENCES recipients ON DELETE SET NULL,
        message_id TEXT NOT NULL,
        address TEXT NOT NULL,
        status TEXT NOT NULL,
        detail TEXT NOT NULL,
        due_at REAL NOT NULL,
        event TEXT NOT NULL,
        wanted INTEGER NOT NULL,
        received INTEGER NOT NULL DEFAULT 0,
        published_at REAL,
        refusal TEXT
    ) STRICT;
    CREATE INDEX IF NOT EXISTS reports_of_recipient ON reports (recipient_id);
    CREATE INDEX IF NOT EXISTS reports_to_come ON reports (due_at, number)
        WHERE received = 0;
    CREATE INDEX IF NOT EXISTS reports_to_publish ON reports (number)
        WHERE received = 1 AND wanted = 1 AND published_at IS NULL AND refusal IS NULL;
    CREATE INDEX IF NOT EXISTS reports_published ON reports (published_at)
        WHERE published_at IS NOT NULL;
    CREATE INDEX IF NOT EXISTS reports_refused ON reports (number)
        WHERE refusal IS NOT NULL;
    CREATE INDEX IF NOT EXISTS reports_of_message ON reports (message_id, number);
"""
INSERT = """
    INSERT INTO reports (
        event_id, recipient_id, message_id, address, status, detail, due_at, event, wanted
    )
    VALUES (
        :event_id, :recipient_id, :message_id, :address, :status, :detail, :due_at, :event, :wanted
    )
"""
LAST = """
    SELECT r.event_id, r.recipient_id, r.message_id, r.address, r.status, r.detail, r.event
    FROM reports AS r
    WHERE r.message_id = :message_id
      AND (:address IS NULL OR lower(r.address) = lower(:address))
    ORDER BY r.number DESC
    LIMIT 1
"""
TRACKED = """
    SELECT tracked
    FROM messages
    WHERE id = :message_id
"""
SUBJECT = """
    SELECT m.channel, m.id, m.sender, r.address, m.tag, r.id AS recipient_id
    FROM messages AS m
    JOIN recipients AS r ON r.seq = m.seq
    WHERE m.id = :message_id
      AND (:address IS NULL OR r.address_key = lower(:address))
    ORDER BY r.id
    LIMIT 1
"""


@dataclass(frozen=True)
class Subject:
    """What a report is about: one recipient of one message."""

    channel: str
    message_id: str
    sender: str
    address: str
    tag: str | None
    recipient_id: int | None
    """None when no such message was taken here."""
    wanted: bool = True
    """Whether the sender asked for reports; those that he did not ask for are only shown."""


@dataclass(frozen=True)
class Engagement:
    """What a recipient did with an email: open it, or follow a link in it, which is the context."""

    kind: Literal["view", "click"]
    context: str
    user_agent: str


def plan(
    tx: sqlite3.Connection,
    subject: Subject,
    outcome: Outcome,
    now: float,
    attempted_at: datetime | None = None,
) -> str:
    """Enter a report that is received when the outcome says. The id of its event."""
    due_at = now + outcome.after_s
    received = datetime.fromtimestamp(due_at, UTC)
    describe = _email_event if subject.channel == "email" else _sms_event
    event = describe(subject, outcome, received, attempted_at or received)
    return _insert(tx, subject, _Said(outcome.status, outcome.detail, due_at), event)


def plan_engagement(
    tx: sqlite3.Connection, subject: Subject, engagement: Engagement, now: float
) -> str:
    """Enter what a recipient did; it changes nothing about the delivery. The id of the event."""
    at = datetime.fromtimestamp(now, UTC).isoformat()
    event = {
        "subject": f"sender/{subject.sender}/message/{subject.message_id}",
        "data": {
            "sender": subject.sender,
            "recipient": subject.address,
            "messageId": subject.message_id,
            "userActionTimestamp": at,
            "engagementContext": engagement.context,
            "userAgent": engagement.user_agent,
            "engagementType": engagement.kind,
        },
        "eventType": ENGAGEMENT,
        "dataVersion": "1.0",
        "eventTime": at,
    }
    done = "Viewed" if engagement.kind == "view" else "Clicked"
    said = _Said(done, engagement.context, now)
    return _insert(tx, replace(subject, recipient_id=None), said, event)


@dataclass(frozen=True)
class _Said:
    """What a row says, and from when on."""

    status: str
    detail: str
    due_at: float


def _insert(tx: sqlite3.Connection, subject: Subject, said: _Said, event: JsonObject) -> str:
    event_id = str(uuid.uuid4())
    tx.execute(
        INSERT,
        {
            "event_id": event_id,
            "recipient_id": subject.recipient_id,
            "message_id": subject.message_id,
            "address": subject.address,
            "status": said.status,
            "detail": said.detail,
            "due_at": said.due_at,
            "event": json.dumps({"id": event_id, **event}),
            "wanted": subject.wanted,
        },
    )
    return event_id


def repeat(store: Store, message_id: str, address: str | None, due_at: float) -> str | None:
    """Send the last report about a message once more, the same event. Its id; None without one."""
    with store.transaction() as tx:
        row = tx.execute(LAST, {"message_id": message_id, "address": address}).fetchone()
        if row is None:
            return None
        tx.execute(INSERT, {**dict(row), "due_at": due_at, "wanted": True})
        event_id: str = row["event_id"]
        return event_id


def subject_of(store: Store, message_id: str, address: str | None) -> Subject | None:
    """The recipient of a message that was taken, the first unless an address is given."""
    rows = store.rows(SUBJECT, {"message_id": message_id, "address": address})
    if not rows:
        return None
    row = rows[0]
    return Subject(
        row["channel"], row["id"], row["sender"], row["address"], row["tag"], row["recipient_id"]
    )


def is_tracked(store: Store, message_id: str) -> bool:
    """Whether it is an email whose HTML may tell what its recipients do."""
    return any(row["tracked"] for row in store.rows(TRACKED, {"message_id": message_id}))


def _email_event(
    subject: Subject, outcome: Outcome, received: datetime, attempted: datetime
) -> JsonObject:
    domain = subject.address.rpartition("@")[2]
    details = {"statusMessage": outcome.detail}
    if outcome.status != "Suppressed":
        details["recipientMailServerHostName"] = f"mx.{domain}"
    return {
        "subject": f"sender/{subject.sender}/message/{subject.message_id}",
        "data": {
            "sender": subject.sender,
            "recipient": subject.address,
            "internetMessageId": f"<{subject.message_id}@{subject.sender.rpartition('@')[2]}>",
            "messageId": subject.message_id,
            "status": outcome.status,
            "deliveryStatusDetails": details,
            "deliveryAttemptTimestamp": attempted.isoformat(),
        },
        "eventType": EMAIL_REPORT,
        "dataVersion": "1.0",
        "eventTime": received.isoformat(),
    }


def _sms_event(
    subject: Subject, outcome: Outcome, received: datetime, attempted: datetime
) -> JsonObject:
    delivered = outcome.status == "Delivered"
    return {
        "subject": f"/phonenumber/{subject.sender.lstrip('+')}",
        "data": {
            "messageId": subject.message_id,
            "from": subject.sender,
            "to": subject.address,
            "deliveryStatus": outcome.status,
            "deliveryStatusDetails": outcome.detail,
            "receivedTimestamp": received.isoformat(),
            "deliveryAttempts": [
                {
                    "timestamp": attempted.isoformat(),
                    "segmentsSucceeded": int(delivered),
                    "segmentsFailed": int(not delivered),
                }
            ],
            "tag": subject.tag,
        },
        "eventType": SMS_REPORT,
        "dataVersion": "1.0",
        "eventTime": received.isoformat(),
    }
