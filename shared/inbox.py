"""Events arrive more than once; their effect happens once. What is refused is written down.

Azure Functions cannot dead-letter a message: a consumer that raises makes the host abandon it,
and after the subscription's maximum of deliveries the broker moves it to the dead-letter queue.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, Protocol
from uuid import UUID

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from shared import telemetry
from shared.db import Database, Pending, Transaction

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
"""Well inside the 30 s lock of a message: a pause must not lose it."""
TRANSACTIONS = 4
"""Of the ten connections that a process has unless it is told otherwise."""
KEPT_DAYS = 30
"""Longer than a message lives (14 days), so that a late redelivery is still known."""

CLAIM = """
    INSERT INTO messaging.inbox (consumer, event_id)
    VALUES (%(consumer)s, %(event_id)s)
    ON CONFLICT (consumer, event_id) DO NOTHING
    RETURNING true
"""
CLAIM_EACH = """
    INSERT INTO messaging.inbox (consumer, event_id)
    SELECT %(consumer)s, event_id
    FROM UNNEST(%(event_ids)s::text[]) AS claimed (event_id)
    ON CONFLICT (consumer, event_id) DO NOTHING
    RETURNING event_id
"""
IS_DONE = """
    SELECT true
    FROM messaging.inbox
    WHERE consumer = %(consumer)s AND event_id = %(event_id)s
"""
REJECT = """
    INSERT INTO messaging.rejections (
        consumer, message_id, event_id, body_digest, reason, delivery_count
    )
    VALUES (
        %(consumer)s, %(message_id)s, %(event_id)s, %(body_digest)s, %(reason)s, %(delivery_count)s
    )
    ON CONFLICT (consumer, message_id, body_digest) DO UPDATE
    SET reason = EXCLUDED.reason,
        delivery_count = EXCLUDED.delivery_count,
        at = clock_timestamp(),
        resolved_at = NULL
"""
RESOLVE = """
    UPDATE messaging.rejections
    SET resolved_at = clock_timestamp()
    WHERE consumer = %(consumer)s
    AND message_id = %(message_id)s
    AND body_digest = %(body_digest)s
    AND resolved_at IS NULL
"""
# Both in one statement, because every message that succeeds pays for it.
DONE = """
    WITH noted AS (
        INSERT INTO messaging.inbox (consumer, event_id)
        VALUES (%(consumer)s, %(event_id)s)
        ON CONFLICT (consumer, event_id) DO NOTHING
    )
    UPDATE messaging.rejections
    SET resolved_at = clock_timestamp()
    WHERE consumer = %(consumer)s
    AND message_id = %(message_id)s
    AND body_digest = %(body_digest)s
    AND resolved_at IS NULL
"""
PRUNE = """
    DELETE FROM messaging.inbox
    WHERE (consumer, event_id) IN (
        SELECT consumer, event_id
        FROM messaging.inbox
        WHERE received_at < now() - make_interval(days => %(days)s)
        ORDER BY received_at
        LIMIT %(limit)s
    )
"""

_log = telemetry.logger(__name__)


class Event(BaseModel):
    """A CloudEvents 1.0 envelope as this platform sends it; `subject` is the aggregate's id."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    specversion: Literal["1.0"]
    id: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}(:r[0-9]{1,6})?$")]
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,127}$")]
    source: Annotated[str, Field(max_length=256)]
    subject: UUID
    time: datetime
    data: dict[str, JsonValue]
    correlation_id: Annotated[str | None, Field(alias="correlationid")] = None
    traceparent: str | None = None


class Incoming(Protocol):
    """What the inbox needs to know of an event, whatever envelope it came in."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def traceparent(self) -> str | None: ...


type Handler = Callable[[Event], Awaitable[None]]
"""Does something idempotent outside the database, such as starting an orchestration."""
type TransactionalHandler[E: Incoming = Event] = Callable[[E, Transaction], Awaitable[None]]
"""Does all it does in the given transaction."""


class Rejected(Exception):
    """This message will never be accepted; `reason` is recorded and holds no personal data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def claim(tx: Transaction, consumer: str, event_id: str) -> bool:
    """True if `tx` is the first to do the event's work for `consumer`, and now owns it.

    Waits for another transaction that is at it; False if that one committed.
    """
    claimed = await tx.execute(CLAIM, {"consumer": consumer, "event_id": event_id})
    return await claimed.fetchone() is not None


async def is_done(tx: Transaction, consumer: str, event_id: str) -> bool:
    """Whether the event's work for `consumer` is done."""
    done = await tx.execute(IS_DONE, {"consumer": consumer, "event_id": event_id})
    return await done.fetchone() is not None


async def ask_claims(tx: Transaction, consumer: str, event_ids: Sequence[str]) -> Pending[set[str]]:
    """Those of `event_ids` (each once) that `tx` is the first to do for `consumer`; see `claim`."""
    cursor = await tx.execute(CLAIM_EACH, {"consumer": consumer, "event_ids": list(event_ids)})

    async def claimed() -> set[str]:
        return {row[0] async for row in cursor}

    return claimed


async def prune(tx: Transaction, *, limit: int) -> int:
    """Forget at most `limit` events received over 30 days ago; how many that were."""
    return (await tx.execute(PRUNE, {"days": KEPT_DAYS, "limit": limit})).rowcount


class _Delivery:
    """What identifies one message to one consumer, well-formed or not."""

    def __init__(self, message: func.ServiceBusMessage, consumer: str, body: bytes) -> None:
        self.consumer = consumer
        self.message_id = str(message.message_id or f"sequence:{message.sequence_number}")[:200]
        self.body_digest = hashlib.sha256(body).hexdigest()
        self.count = message.delivery_count or 1

    def names(self) -> dict[str, str | int | None]:
        return {
            "consumer": self.consumer,
            "message_id": self.message_id.replace("\0", ""),
            "body_digest": self.body_digest,
        }


def malformed(fault: ValidationError) -> Rejected:
    """The refusal of a message that is not what it should be; names fields, not their values."""
    broken = [f"{'.'.join(map(str, e['loc']))} {e['type']}".strip() for e in fault.errors()]
    return Rejected(f"malformed: {'; '.join(broken[:10])}")


type _Work[E: Incoming] = Callable[[E, _Delivery], Awaitable[None]]
"""Takes effect once, and resolves what was recorded of the message's earlier failures.

Not only when it was delivered before: a broker that is restarted counts from its last settlement.
"""


class Inbox:
    """Receives messages for consumers: parses, skips what was done, records what fails."""

    def __init__(
        self,
        database: Database,
        *,
        first_pause_s: float = FIRST_PAUSE_S,
        transactions: int = TRANSACTIONS,
    ) -> None:
        """At most so many `transactions` hold a connection at a time.

        Messages about one person wait for each other in the database: with a connection each, a
        crowd of them would leave none to requests and sagas.
        """
        self._database, self._first_pause_s = database, first_pause_s
        self._room = asyncio.Semaphore(transactions)

    async def receive(
        self, message: func.ServiceBusMessage, *, consumer: str, types: Mapping[str, Handler]
    ) -> None:
        """Give the event to the handler of its type, then note that it is done.

        A crash in between repeats the handler: its effect must be idempotent. Raises Rejected for
        a message that is malformed, of no known type, or refused by its handler; re-raises a
        handler's fault after a pause that grows with the delivery count, so that a short outage
        does not use up the deliveries. Both are recorded in messaging.rejections.
        """

        async def work(event: Event, delivery: _Delivery) -> None:
            names = delivery.names() | {"event_id": event.id}
            async with self._database.reading() as tx:
                done = await (await tx.execute(IS_DONE, names)).fetchone()
                if done:
                    await tx.execute(RESOLVE, names)
                    return
            await _handler(types, event)(event)
            async with self._database.statement() as tx:
                await tx.execute(DONE, names)

        await self._receive(message, consumer, _parse, work)

    async def receive_in_transaction(
        self,
        message: func.ServiceBusMessage,
        *,
        consumer: str,
        types: Mapping[str, TransactionalHandler],
    ) -> None:
        """Like `receive`, for effects in our own database: exactly once, with the inbox row."""
        await self.receive_foreign(message, consumer=consumer, types=types, parse=_parse)

    async def receive_foreign[E: Incoming](
        self,
        message: func.ServiceBusMessage,
        *,
        consumer: str,
        types: Mapping[str, TransactionalHandler[E]],
        parse: Callable[[bytes], E],
    ) -> None:
        """Like `receive_in_transaction`, for messages in another envelope than ours.

        `parse` reads it, or raises Rejected.
        """

        async def work(event: E, delivery: _Delivery) -> None:
            async with self._room, self._database.transaction() as tx:
                if await claim(tx, consumer, event.id):
                    await _handler(types, event)(event, tx)
                await tx.execute(RESOLVE, delivery.names())

        await self._receive(message, consumer, parse, work)

    async def receive_any(
        self, message: func.ServiceBusMessage, *, consumer: str, handler: Handler
    ) -> None:
        """Like `receive`, for one handler of every type that claims the events itself.

        See `ask_claims`: a handler that puts many events into one transaction claims them there.
        """

        async def work(event: Event, delivery: _Delivery) -> None:
            await handler(event)
            async with self._database.statement() as tx:
                await tx.execute(RESOLVE, delivery.names())

        await self._receive(message, consumer, _parse, work)

    async def _receive[E: Incoming](
        self,
        message: func.ServiceBusMessage,
        consumer: str,
        parse: Callable[[bytes], E],
        work: _Work[E],
    ) -> None:
        body = message.get_body()
        delivery = _Delivery(message, consumer, body)
        with telemetry.correlation(message.correlation_id):
            try:
                event = parse(body)
            except Rejected as refusal:
                await self._record(delivery, refusal.reason, event_id=None)
                raise
        with telemetry.correlation(event.correlation_id, event.traceparent):
            try:
                await work(event, delivery)
            except Rejected as refusal:
                await self._record(delivery, refusal.reason, event_id=event.id)
                raise
            except Exception as fault:
                await self._record(delivery, f"fault: {_kind(fault)}", event_id=event.id)
                _log.warning("%s failed on %s: %s", consumer, event.type, telemetry.describe(fault))
                await asyncio.sleep(self._pause_s(delivery.count))
                raise

    def _pause_s(self, delivery_count: int) -> float:
        doublings = min(delivery_count - 1, 16)
        return min(self._first_pause_s * 2.0**doublings, LONGEST_PAUSE_S)

    async def _record(self, delivery: _Delivery, reason: str, event_id: str | None) -> None:
        """Best effort: the message must be abandoned even while the database is away."""
        names = delivery.names() | {
            "event_id": event_id,
            "reason": reason,
            "delivery_count": delivery.count,
        }
        _log.warning("%s rejected a message: %s", delivery.consumer, reason)
        try:
            async with self._database.reading() as tx:
                await tx.execute(REJECT, names)
        except Exception as fault:  # noqa: BLE001 - the rejection itself is what gets raised
            _log.warning("a rejection was not recorded: %s", telemetry.describe(fault))


def _handler[H](types: Mapping[str, H], event: Incoming) -> H:
    """The handler of the event's type. Raises Rejected where there is none."""
    if event.type not in types:
        raise Rejected(f"unknown type: {event.type}")
    return types[event.type]


def _parse(body: bytes) -> Event:
    try:
        return Event.model_validate_json(body)
    except ValidationError as fault:
        raise malformed(fault) from None


def _kind(fault: Exception) -> str:
    sqlstate = getattr(fault, "sqlstate", None)
    return f"{type(fault).__qualname__} {sqlstate}" if sqlstate else type(fault).__qualname__
