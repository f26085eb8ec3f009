"""Every message that was taken, with its recipients, attachments and what became of it."""

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from localcloud.communication import outcomes, reports, suppressions
from localcloud.communication.drafts import Channel, Draft, iso
from localcloud.communication.outcomes import Outcome
from localcloud.partners.store import JsonObject, Store, once, record
from localcloud.partners.web import Refused

PROCESSING_S: Final = 0.15
"""How long the operation of an email runs."""
QUEUED_S: Final = 1.0
"""How long the operation of an email to a slow address waits before it runs."""
PRUNE_EVERY: Final = 100

SCHEMA = """
    CREATE TABLE IF NOT EXISTS messages (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        channel TEXT NOT NULL CHECK (channel IN ('email', 'sms')),
        sent_at TEXT NOT NULL,
        sender TEXT NOT NULL,
        subject TEXT,
        text TEXT,
        html TEXT,
        headers TEXT NOT NULL,
        reply_to TEXT NOT NULL,
        tag TEXT,
        tracked INTEGER NOT NULL,
        fingerprint TEXT NOT NULL,
        runs_at REAL NOT NULL,
        settles_at REAL NOT NULL,
        error TEXT
    ) STRICT;
    CREATE INDEX IF NOT EXISTS messages_by_channel ON messages (channel);
    CREATE TABLE IF NOT EXISTS recipients (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        seq INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        kind TEXT NOT NULL CHECK (kind IN ('to', 'cc', 'bcc')),
        address TEXT NOT NULL,
        address_key TEXT NOT NULL,
        display_name TEXT,
        channel TEXT NOT NULL,
        status TEXT,
        detail TEXT,
        reported_at REAL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS recipients_of_message ON recipients (seq, id);
    CREATE INDEX IF NOT EXISTS recipients_by_address ON recipients (address_key, seq);
    CREATE INDEX IF NOT EXISTS recipients_by_status ON recipients (channel, status);
    CREATE TABLE IF NOT EXISTS attachments (
        seq INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        content_type TEXT NOT NULL,
        content_id TEXT,
        content BLOB NOT NULL,
        PRIMARY KEY (seq, number)
    ) STRICT, WITHOUT ROWID;
"""
INSERT_MESSAGE = """
    INSERT INTO messages (
        id, channel, sent_at, sender, subject, text, html, headers, reply_to, tag, tracked,
        fingerprint, runs_at, settles_at, error
    )
    VALUES (
        :id, :channel, :sent_at, :sender, :subject, :text, :html, :headers, :reply_to, :tag,
        :tracked, :fingerprint, :runs_at, :settles_at, :error
    )
"""
INSERT_RECIPIENT = """
    INSERT INTO recipients (seq, kind, address, address_key, display_name, channel)
    VALUES (:seq, :kind, :address, :address_key, :display_name, :channel)
"""
INSERT_ATTACHMENT = """
    INSERT INTO attachments (seq, number, name, content_type, content_id, content)
    VALUES (:seq, :number, :name, :content_type, :content_id, :content)
"""
BY_ID = """
    SELECT id, fingerprint, runs_at, settles_at, error
    FROM messages
    WHERE id = :id AND channel = :channel
"""
PRUNE = """
    DELETE FROM messages
    WHERE seq <= :seq
"""
PRUNE_REPORTS = """
    DELETE FROM reports
    WHERE recipient_id IS NULL AND (published_at IS NOT NULL OR wanted = 0)
"""


def operation(row: sqlite3.Row, at: float) -> JsonObject:
    """The operation of a message as Azure describes it at the time `at`."""
    if at < row["runs_at"]:
        status = "NotStarted"
    elif at < row["settles_at"]:
        status = "Running"
    elif row["error"] is None:
        status = "Succeeded"
    else:
        return {"id": row["id"], "status": "Failed", "error": json.loads(row["error"])}
    return {"id": row["id"], "status": status}


class Mailbox:
    """Takes messages, each once, and plans what will be reported about it."""

    def __init__(self, store: Store, keep: int) -> None:
        """Of the newest `keep` messages at least are kept."""
        self._store, self._keep = store, keep

    def take_email(self, draft: Draft) -> JsonObject:
        """The operation of the message, which is sent unless its id is known already.

        Refused with 400 when the id was used for another message.
        Source: https://learn.microsoft.com/rest/api/communication/repeatable-requests
        """
        with self._store.transaction() as tx:
            known = tx.execute(BY_ID, {"id": draft.id, "channel": "email"}).fetchone()
            if known is None:
                now = time.time()
                self._enter(tx, draft, now)
                known = tx.execute(BY_ID, {"id": draft.id, "channel": "email"}).fetchone()
                return operation(known, now)
            if known["fingerprint"] != draft.fingerprint:
                raise Refused(
                    400, "BadRequest", "This Operation-Id was used for another message already."
                )
            return operation(known, time.time())

    def find_operation(self, operation_id: str) -> JsonObject:
        """The operation as it stands. Refused with 404 when there is none."""
        rows = self._store.rows(BY_ID, {"id": operation_id, "channel": "email"})
        if not rows:
            raise Refused(404, "NotFound", "There is no operation with this id.")
        return operation(rows[0], time.time())

    def take_sms(self, draft: Draft, key: str | None) -> str:
        """The id of the message, which is sent unless one was sent under `key`.

        Raises KeyReused when another message was sent under it.
        """

        def effect() -> tuple[int, JsonObject]:
            self._enter(tx, draft, time.time())
            return 202, {"id": draft.id}

        with self._store.transaction() as tx:
            if key is None:
                effect()
                return draft.id
            message_id: str = once(tx, key, draft.fingerprint, effect).body["id"]
            return message_id

    def _enter(self, tx: sqlite3.Connection, draft: Draft, now: float) -> None:
        """Keep the message and plan its reports, in the transaction that answers for it."""
        expected = [_expected(tx, draft.channel, to.address, now) for to in draft.recipients]
        slow = any(said and said[-1].after_s >= outcomes.SLOW_S for said in expected)
        runs_at = now + (QUEUED_S if slow and draft.channel == "email" else 0)
        cursor = tx.execute(
            INSERT_MESSAGE,
            {
                "id": draft.id,
                "channel": draft.channel,
                "sent_at": iso(now),
                "sender": draft.sender,
                "subject": draft.subject,
                "text": draft.text,
                "html": draft.html,
                "headers": json.dumps(dict(draft.headers)),
                "reply_to": json.dumps(list(draft.reply_to)),
                "tag": draft.tag,
                "tracked": draft.tracked,
                "fingerprint": draft.fingerprint,
                "runs_at": runs_at,
                "settles_at": runs_at + (PROCESSING_S if draft.channel == "email" else 0),
                "error": _error(expected) if draft.channel == "email" else None,
            },
        )
        assert cursor.lastrowid is not None
        self._enter_parts(tx, draft, cursor.lastrowid, expected, now)
        record(
            tx,
            f"send_{draft.channel}",
            draft.id,
            seq=cursor.lastrowid,
            to=[to.address for to in draft.recipients],
            subject=draft.subject,
            tag=draft.tag,
            **{"from": draft.sender},
        )
        if cursor.lastrowid % PRUNE_EVERY == 0:
            tx.execute(PRUNE, {"seq": cursor.lastrowid - self._keep})
            tx.execute(PRUNE_REPORTS)

    def _enter_parts(
        self,
        tx: sqlite3.Connection,
        draft: Draft,
        seq: int,
        expected: Sequence[Sequence[Outcome]],
        now: float,
    ) -> None:
        for to, said in zip(draft.recipients, expected, strict=True):
            facts = {
                "seq": seq,
                "kind": to.kind,
                "address": to.address,
                "address_key": to.address.lower(),
                "display_name": to.display_name,
                "channel": draft.channel,
            }
            recipient_id = tx.execute(INSERT_RECIPIENT, facts).lastrowid
            subject = reports.Subject(
                draft.channel,
                draft.id,
                draft.sender,
                to.address,
                draft.tag,
                recipient_id,
                wanted=draft.reported,
            )
            for outcome in said:
                reports.plan(tx, subject, outcome, now)
        for number, attached in enumerate(draft.attachments):
            tx.execute(
                INSERT_ATTACHMENT,
                {
                    "seq": seq,
                    "number": number,
                    "name": attached.name,
                    "content_type": attached.content_type,
                    "content_id": attached.content_id,
                    "content": attached.content,
                },
            )


def _expected(
    tx: sqlite3.Connection, channel: Channel, address: str, now: float
) -> tuple[Outcome, ...]:
    """What will be reported of one recipient; an address that bounced before is not tried again."""
    if channel == "sms":
        return outcomes.of_sms(address)
    if suppressions.hit(tx, address, now):
        return (outcomes.SUPPRESSED,)
    said = outcomes.of_email(address)
    if any(outcome.status == "Bounced" for outcome in said):
        suppressions.add(tx, address, now)
    return said


def _error(expected: Sequence[Sequence[Outcome]]) -> str | None:
    """Why the operation fails, which it does when it fails for every recipient."""
    statuses = {said[-1].status if said else None for said in expected}
    if statuses == {"Suppressed"}:
        code, message = (
            "EmailDroppedAllRecipientsSuppressed",
            "Message dropped because all recipients were suppressed",
        )
    elif statuses == {"Failed"}:
        code, message = "EmailDropped", "Email was dropped after several attempts to deliver."
    else:
        return None
    return json.dumps({"code": code, "message": message})
