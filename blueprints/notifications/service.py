"""What people may ask of notifications: their own, and what employees look up."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from blueprints.notifications import finding_repository, repository
from blueprints.notifications.api_models import (
    DeliveryLog,
    ListedNotification,
    NotificationPage,
    NotificationQuery,
    Preview,
    PreviewTemplate,
    TemplateSummary,
)
from blueprints.notifications.models import (
    AUDIENCES,
    LANGUAGES,
    TYPES,
    Contact,
    HistoryEntry,
    InApp,
    Mail,
    Notification,
    TemplateNotRendered,
    WordingFault,
)
from blueprints.notifications.repository import Kept, Reader
from blueprints.notifications.wording import (
    SAMPLE_FACTS,
    SAMPLE_MESSAGE,
    SampleContact,
    language_of,
)
from shared import telemetry
from shared.auth import Caller
from shared.db import Database
from shared.http import decode_cursor, encode_cursor
from shared.problem import NotFound

UNREAD_COUNTED = 99
_LAST = 2**63 - 1
_OWN = "own"

_log = telemetry.logger(__name__)


class Customers(Protocol):
    """How customers are reached."""

    async def contact(self, customer_id: UUID) -> Contact | None:
        """How to reach the customer; None for one who is unknown or erased."""
        ...


class Words(Protocol):
    """Puts notifications into words; every method raises WordingFault where it cannot."""

    def email(self, notification: Notification, contact: Contact) -> Mail: ...
    def sms(self, notification: Notification, contact: Contact) -> str: ...
    def in_app(self, notification: Notification, language: str) -> InApp: ...


class NotificationService:
    """Lists, read marks, delivery logs and previews."""

    def __init__(self, database: Database, customers: Customers, wording: Words) -> None:
        self._database, self._customers, self._wording = database, customers, wording

    async def list(self, caller: Caller, query: NotificationQuery) -> NotificationPage:
        """The caller's notifications and those of his audiences.

        Raises InvalidCursor for a cursor or token that no list gave out.
        """
        reader = _reader(caller)
        language = query.language or await self._language(caller)
        async with self._database.reading() as tx:
            # First: what is told while the rest is read comes after the token.
            latest = await repository.latest(tx, reader)
            unread = await repository.unread(tx, reader, limit=UNREAD_COUNTED + 1)
            if query.since is not None:
                seen = _seen(query.since, reader)
                kept = await repository.after(tx, reader, seen, limit=query.limit + 1)
                latest = _seen_with(seen, kept[: query.limit])
            else:
                before = _LAST
                if query.cursor is not None:
                    (before,) = decode_cursor(query.cursor, position=_position)
                kept = await repository.newest(
                    tx, reader, before=before, unread=query.unread, limit=query.limit + 1
                )
        page, more = kept[: query.limit], len(kept) > query.limit
        older = more and query.since is None
        return NotificationPage(
            items=[self._listed(one, language) for one in page],
            next_cursor=encode_cursor(position=page[-1].position) if older else None,
            latest=_token(latest),
            more=more and query.since is not None,
            unread_count=min(unread, UNREAD_COUNTED),
            unread_more=unread > UNREAD_COUNTED,
        )

    async def read(
        self, caller: Caller, notification_id: UUID, language: str | None
    ) -> ListedNotification:
        """The notification, read now or before. Raises NotFound if it is not the caller's."""
        reader = _reader(caller)
        chosen = language or await self._language(caller)
        async with self._database.transaction() as tx:
            await repository.read(tx, reader, notification_id)
            kept = await repository.by_id(tx, reader, notification_id)
        if kept is None:
            raise _not_found()
        return self._listed(kept, chosen)

    async def read_all(self, caller: Caller, token: str) -> int:
        """Mark as read what the caller could have seen when he got `token`; how many were not.

        Raises InvalidCursor for a token that no list gave out.
        """
        reader = _reader(caller)
        seen = _seen(token, reader)
        async with self._database.transaction() as tx:
            return await repository.read(tx, reader, None, seen)

    async def deliveries(self, notification_id: UUID) -> DeliveryLog:
        """What became of a notification on each channel. Raises NotFound."""
        async with self._database.reading() as tx:
            log = await finding_repository.delivery_log(tx, notification_id)
        if log is None:
            raise _not_found()
        return log

    async def history(self, order_id: UUID) -> Sequence[HistoryEntry]:
        """How the order's customer was told about it, oldest first."""
        async with self._database.reading() as tx:
            return await finding_repository.history(tx, order_id)

    def templates(self) -> Sequence[TemplateSummary]:
        """Every kind of message and what its wording is made of."""
        return [
            TemplateSummary(
                type=type_,
                meaning=rule.meaning,
                versions=[*range(1, rule.version + 1)],
                languages=[*LANGUAGES],
                variables={n: sorted(facts) for n, facts in enumerate(rule.facts, 1)},
            )
            for type_, rule in TYPES.items()
        ]

    def preview(self, wanted: PreviewTemplate) -> Preview:
        """A template with sample facts, or with those given. Raises TemplateNotRendered."""
        rule = TYPES[wanted.type]
        version = wanted.version or rule.version
        facts = SAMPLE_FACTS if wanted.facts is None else wanted.facts
        notification = Notification(
            id=UUID(int=0),
            type=wanted.type,
            recipient_id=UUID(int=0),
            audience=None,
            order_id=None,
            facts=facts,
            message=SAMPLE_MESSAGE if wanted.type == "message" else None,
            template_version=version,
            occurred_at=datetime.now(UTC),
        )
        contact = SampleContact(wanted.language)
        try:
            mail = self._wording.email(notification, contact)
            in_app = self._wording.in_app(notification, wanted.language)
            sms = self._wording.sms(notification, contact)
        except WordingFault as fault:
            raise TemplateNotRendered(fault.reason) from fault
        return Preview(
            subject=mail.subject,
            text=mail.text,
            html=mail.html,
            sms=sms,
            title=in_app.title,
            in_app=in_app.text,
        )

    async def _language(self, caller: Caller) -> str:
        """What the caller reads: employees are written to in the first language."""
        if caller.is_employee:
            return LANGUAGES[0]
        contact = await self._customers.contact(caller.id)
        return LANGUAGES[0] if contact is None else language_of(contact.language)

    def _listed(self, kept: Kept, language: str) -> ListedNotification:
        """One that cannot be put into words must not hide the others: it shows what it is about."""
        notification = kept.notification
        try:
            said = self._wording.in_app(notification, language)
        except WordingFault as fault:
            _log.warning("notification %s: %s", notification.id, fault.reason)
            said = InApp(TYPES[notification.type].meaning, "")
        return ListedNotification(
            id=notification.id,
            type=notification.type,
            order_id=notification.order_id,
            audience=notification.audience,
            title=said.title,
            text=said.text,
            at=notification.occurred_at,
            read_at=kept.read_at,
        )


def _reader(caller: Caller) -> Reader:
    """The caller with the audiences that he belongs to."""
    mine = {"clients"} if caller.is_client else {"employees", *(f"role:{r}" for r in caller.roles)}
    return Reader(caller.id, [audience for audience in AUDIENCES if audience in mine])


# A token says how far a reader has seen in each stream: his own, and each audience's. Positions
# grow in the order of commits within a stream only.


def _token(seen: Mapping[str, int]) -> str:
    return encode_cursor(seen=",".join(f"{name}={at}" for name, at in sorted(seen.items())))


def _seen(token: str, reader: Reader) -> dict[str, int]:
    """How far the reader has seen; nothing of a stream that the token does not know."""
    (given,) = decode_cursor(token, seen=_positions)
    return {name: given.get(name, 0) for name in (_OWN, *reader.audiences)}


def _positions(text: str) -> dict[str, int]:
    pairs = [one.partition("=") for one in text.split(",")]
    return {name: _position(at) for name, _, at in pairs}


def _position(text: str) -> int:
    """Raises ValueError for what is no position."""
    if not text.isascii() or not text.isdigit() or int(text) > _LAST:
        raise ValueError("no position")
    return int(text)


def _seen_with(seen: Mapping[str, int], kept: Sequence[Kept]) -> dict[str, int]:
    """How far the reader has seen with these, which come oldest first."""
    return {**seen, **{one.notification.audience or _OWN: one.position for one in kept}}


def _not_found() -> NotFound:
    return NotFound("there is no such notification")
