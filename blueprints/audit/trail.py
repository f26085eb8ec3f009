"""Adds to the chain: entries of one process that come at a time share a transaction."""

import asyncio
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from uuid import UUID

from blueprints.audit import chain, entries_repository
from blueprints.audit.models import CUSTOMER, ON_BEHALF_ACTION, READ_ACTION, Entry, Link
from shared import db, inbox, telemetry
from shared.db import Database, Transaction
from shared.http import Disclosure
from shared.inbox import Event, Rejected

CONSUMER = "audit"
ENTRIES_PER_BATCH = 512
YEARS = range(1970, 9999)
"""What a time may be that every program along the way can hold."""

_log = telemetry.logger(__name__)

type _Waiting = tuple[Sequence[Entry], asyncio.Future[None]]


class Trail:
    """One per process. Processes take turns by a lock on the chain's last entry."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def record(self, entries: Sequence[Entry]) -> None:
        """Returns when the entries are in the chain for good; raises the fault that kept them out.

        Those of one call are all in or none, next to each other and in order. An entry with an
        `event_id` that is in already is left out. A commit takes much the same time however many
        entries are in it: while one is under way the next ones gather.
        """
        if not entries:
            return
        recorded = asyncio.get_running_loop().create_future()
        self._waiting.append((entries, recorded))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        await recorded

    async def append(self, tx: Transaction, entries: Sequence[Entry]) -> list[Link]:
        """Add entries in a transaction of the caller's, who commits soon: everybody else waits.

        Returns them in their places, without those whose event is in already.
        """
        asked_head = await entries_repository.ask_head(tx)
        ids = list({entry.event_id for entry in entries if entry.event_id is not None})
        asked_claims = await inbox.ask_claims(tx, CONSUMER, ids) if ids else None
        head, now = await asked_head()
        new = set() if asked_claims is None else await asked_claims()
        links = chain.linked(head, _once(entries, new), now)
        if links:
            await entries_repository.add(tx, links)
        return links

    async def _work(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft()]
            size = len(batch[0][0])
            while self._waiting and size + len(self._waiting[0][0]) <= ENTRIES_PER_BATCH:
                batch.append(self._waiting.popleft())
                size += len(batch[-1][0])
            await self._settle(batch)

    async def _settle(self, batch: Sequence[_Waiting]) -> None:
        """Write a batch. What the database refuses is one caller's matter: the others go on."""
        try:
            await self._write([entry for entries, _ in batch for entry in entries])
        except Exception as fault:  # noqa: BLE001 - whoever waits is told
            if len(batch) > 1 and not isinstance(fault, db.UNAVAILABLE):
                _log.warning("a batch is written one by one: %s", telemetry.describe(fault))
                for one in batch:
                    await self._settle([one])
                return
            for _, recorded in batch:
                if not recorded.done():
                    recorded.set_exception(fault)
        else:
            for _, recorded in batch:
                if not recorded.done():
                    recorded.set_result(None)

    async def _write(self, entries: Sequence[Entry]) -> None:
        async with self._database.pipelined() as tx:
            await self.append(tx, entries)


def _once(entries: Sequence[Entry], new: set[str]) -> Iterator[Entry]:
    """Entries of no event, and the first one of each event that is new."""
    for entry in entries:
        if entry.event_id is None:
            yield entry
        elif entry.event_id in new:
            new.remove(entry.event_id)
            yield entry


class AccessTrail:
    """Records whose data employees were shown; what shared.http asks of an AccessLog."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail

    async def record(self, disclosure: Disclosure) -> None:
        """One entry for each person. Returns when they are durable."""
        reason = disclosure.reason
        await self._trail.record(
            [
                Entry(
                    ledger="gdpr",
                    origin="access",
                    action=READ_ACTION,
                    actor_kind="employee",
                    actor_id=disclosure.reader_id,
                    subject_kind=CUSTOMER,
                    subject_id=person_id,
                    order_id=disclosure.order_id,
                    person_id=person_id,
                    operation=disclosure.operation,
                    fields=",".join(sorted(disclosure.fields)),
                    correlation_id=disclosure.correlation_id,
                    payload=None if reason is None else payload({"reason": reason}),
                )
                for person_id in disclosure.people
            ]
        )


class OnBehalfTrail:
    """Records what employees do in a customer's name; what blueprints.orders asks of it."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail

    async def ordered(
        self, tx: Transaction, *, employee_id: UUID, customer_id: UUID, order_id: UUID, reason: str
    ) -> None:
        """One entry about the customer, in the transaction that places the order."""
        entry = Entry(
            ledger="gdpr",
            origin="manual",
            action=ON_BEHALF_ACTION,
            actor_kind="employee",
            actor_id=employee_id,
            subject_kind="order",
            subject_id=order_id,
            order_id=order_id,
            person_id=customer_id,
            operation="place_order",
            correlation_id=telemetry.correlation_id() or telemetry.new_correlation_id(),
            payload=payload({"reason": reason}),
        )
        await self._trail.append(tx, [entry])


def of_event(event: Event) -> Entry:
    """The entry of an event of any type. Raises Rejected for a time that no calendar knows.

    What concerns a customer's rights goes where that customer's other entries are.
    """
    occurred_at = event.time if event.time.tzinfo else event.time.replace(tzinfo=UTC)
    if occurred_at.year not in YEARS:
        raise Rejected("malformed: time out of range")
    kind = event.type.partition(".")[0][:40]
    customer_id = _id(event.data, "customer_id") if kind == "gdpr" else None
    return Entry(
        ledger="logs" if customer_id is None else "gdpr",
        origin="event",
        action=event.type,
        actor_kind="platform",
        actor_id=None,
        subject_kind=kind,
        subject_id=event.subject,
        occurred_at=occurred_at.astimezone(UTC),
        order_id=event.subject if kind == "order" else _id(event.data, "order_id"),
        person_id=customer_id,
        event_id=event.id.partition(":")[0],
        correlation_id=telemetry.accepted(event.correlation_id),
        payload=payload({"source": event.source, "data": event.data}),
    )


def payload(details: Mapping[str, object]) -> str:
    """Details as they are stored: JSON in ASCII, so that no text is beyond the database."""
    return json.dumps(details, sort_keys=True, separators=(",", ":"))


def _id(data: Mapping[str, object], name: str) -> UUID | None:
    try:
        return UUID(str(data.get(name)))
    except ValueError:
        return None
