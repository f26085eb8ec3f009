"""What employees may ask of the audit trail, and what they may add to it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from blueprints.audit import entries_repository
from blueprints.audit.models import (
    DETAILS_MAX_LENGTH,
    LONGEST_RANGE_DAYS,
    USUAL_RANGE_DAYS,
    AuditRangeTooLong,
    DetailsTooLarge,
    Entry,
    LoggedEntry,
    LogQuery,
    RecordEntry,
    Subject,
    TrailQuery,
)
from blueprints.audit.trail import Trail, payload
from shared import idempotency, telemetry
from shared.auth import Caller
from shared.db import Database
from shared.http import Page, decode_cursor, encode_cursor
from shared.idempotency import IdempotencyKey
from shared.problem import InvalidRequest

ALL_OF_THEM = (datetime.max.replace(tzinfo=UTC) - timedelta(days=1), 2**62)
"""Before this comes every entry."""


def _now() -> datetime:
    return datetime.now(UTC)


class AuditService:
    """Lists and adds entries; who may is decided at the border."""

    def __init__(
        self, database: Database, trail: Trail, *, clock: Callable[[], datetime] = _now
    ) -> None:
        self._database, self._trail, self._clock = database, trail, clock

    async def record(
        self, caller: Caller, request: RecordEntry, key: IdempotencyKey
    ) -> LoggedEntry:
        """Add what a person wants to be on record. Repeating `key` returns the first entry.

        Raises DetailsTooLarge; IdempotencyKeyReused.
        """
        details: dict[str, JsonValue] = {"reason": request.reason}
        if request.details is not None:
            details["details"] = request.details
        text = payload(details)
        if len(text) > DETAILS_MAX_LENGTH:
            raise DetailsTooLarge(f"the details have {len(text)} bytes", limit=DETAILS_MAX_LENGTH)
        entry = Entry(
            origin="manual",
            action=request.action,
            actor_kind="employee",
            actor_id=caller.id,
            subject_kind=request.subject.kind,
            subject_id=request.subject.id,
            order_id=request.order_id,
            person_id=request.person_id,
            correlation_id=telemetry.correlation_id() or telemetry.new_correlation_id(),
            payload=text,
        )
        async with self._database.transaction() as tx:
            answer = await idempotency.replay(tx, key)
            if answer is not None:
                return await self._again(int(json.loads(answer)["seq"]))
            (link,) = await self._trail.append(tx, [entry])
            # The number alone: the answer would keep the words that may have to be erased.
            await idempotency.remember(tx, key, json.dumps({"seq": link.seq}))
        return await self._again(link.seq)

    async def list(self, query: LogQuery) -> Page[LoggedEntry]:
        """Entries of the logs, newest first. Raises AuditRangeTooLong, InvalidCursor."""
        until = query.until or self._clock()
        since = query.since or until - timedelta(days=USUAL_RANGE_DAYS)
        if since > until:
            rule = {"field": "from", "message": "must not be after `to`"}
            raise InvalidRequest("the query string is not valid", [rule])
        if until - since > timedelta(days=LONGEST_RANGE_DAYS):
            raise AuditRangeTooLong(
                f"ask for at most {LONGEST_RANGE_DAYS} days at a time", limit=LONGEST_RANGE_DAYS
            )
        filters = query.model_dump(include=set(entries_repository.FILTERS))
        before = None if query.cursor is None else _place(query.cursor)
        async with self._database.reading() as tx:
            rows = await entries_repository.logged(
                tx, filters, since=since, until=until, before=before, limit=query.limit + 1
            )
        return _page(rows, query.limit)

    async def of_customer(self, customer_id: UUID, query: TrailQuery) -> Page[LoggedEntry]:
        """What was done with a customer's data and who saw them, newest first.

        Empty for a customer of whom nobody has asked. Raises InvalidCursor.
        """
        before = ALL_OF_THEM if query.cursor is None else _place(query.cursor)
        async with self._database.reading() as tx:
            rows = await entries_repository.of_person(
                tx, customer_id, before=before, limit=query.limit + 1
            )
        return _page(rows, query.limit)

    async def _again(self, seq: int) -> LoggedEntry:
        async with self._database.reading() as tx:
            return _logged(await entries_repository.by_seq(tx, seq))


def people(page: Page[LoggedEntry]) -> set[UUID]:
    """Of whom the page shows more than ids."""
    return {
        entry.customer_id
        for entry in page.items
        if entry.customer_id is not None and entry.details is not None
    }


def _page(rows: list[dict[str, Any]], limit: int) -> Page[LoggedEntry]:
    items = [_logged(row) for row in rows[:limit]]
    cursor = None
    if len(rows) > limit:
        last = items[-1]
        cursor = encode_cursor(at=last.recorded_at.isoformat(), seq=last.seq)
    return Page[LoggedEntry](items=items, next_cursor=cursor)


def _logged(row: dict[str, Any]) -> LoggedEntry:
    details, fields = row["payload"], row["fields"]
    return LoggedEntry(
        seq=row["seq"],
        recorded_at=row["recorded_at"],
        occurred_at=row["occurred_at"],
        origin=row["origin"],
        action=row["action"],
        actor_kind=row["actor_kind"],
        actor_id=row["actor_id"],
        subject=Subject(kind=row["subject_kind"], id=row["subject_id"]),
        order_id=row["order_id"],
        customer_id=row["person_id"],
        event_id=row["event_id"],
        operation=row["operation"],
        fields=None if fields is None else fields.split(","),
        correlation_id=row["correlation_id"],
        details=None if details is None else json.loads(details),
        erased=row["commitment"] is not None and details is None,
        hash=row["entry_hash"].hex(),
    )


def _place(cursor: str) -> tuple[datetime, int]:
    at, seq = decode_cursor(cursor, at=_instant, seq=_number)
    return at, seq


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant has an offset")
    return instant


def _number(text: str) -> int:
    number = int(text)
    if not 0 < number < 2**62:
        raise ValueError("no entry has this number")
    return number
