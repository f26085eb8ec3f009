"""What can change on disk: one kind of change after the other, with the SQL that makes it."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_INSERT: Final = """
    INSERT INTO messages (
        id, queue, sequence, enqueued_sequence, enqueued_at_ms, expires_at_ms, delivery_count,
        content, due_at_ms, deferred
    )
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_COUNT_DELIVERY: Final = """
    UPDATE messages
    SET delivery_count = ?
    WHERE id = ?
"""
_REWRITE: Final = """
    UPDATE messages
    SET content = ?
    WHERE id = ?
"""
_DEFER: Final = """
    UPDATE messages
    SET deferred = 1
    WHERE id = ?
"""
_DELETE: Final = """
    DELETE FROM messages
    WHERE id = ?
"""
_ADVANCE: Final = """
    INSERT INTO counters (name, value)
    VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_SET_STATE: Final = """
    INSERT INTO sessions (queue, session, state)
    VALUES (?, ?, ?)
    ON CONFLICT (queue, session) DO UPDATE SET state = excluded.state
"""
_CLEAR_STATES: Final = """
    DELETE FROM sessions
    WHERE queue = ? AND session = ? AND state IS NULL
"""
_REMEMBER_ID: Final = """
    INSERT INTO message_ids (entity, message_id, until_ms)
    VALUES (?, ?, ?)
    ON CONFLICT (entity, message_id) DO UPDATE SET until_ms = excluded.until_ms
"""
_FORGET_IDS: Final = """
    DELETE FROM message_ids
    WHERE entity = ? AND until_ms <= ?
"""
_PUT_ENTITY: Final = """
    INSERT INTO entities (path, kind, declared, entry, created_at_ms, updated_at_ms)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (path) DO UPDATE
    SET kind = excluded.kind, declared = excluded.declared, entry = excluded.entry,
        created_at_ms = excluded.created_at_ms, updated_at_ms = excluded.updated_at_ms
"""
_FORGET_ENTITY: Final = """
    DELETE FROM entities
    WHERE path = ?
"""
_EMPTY: Final = (
    """
    DELETE FROM messages
    WHERE queue = ?
    """,
    """
    DELETE FROM counters
    WHERE name = ?
    """,
    """
    DELETE FROM sessions
    WHERE queue = ?
    """,
    """
    DELETE FROM message_ids
    WHERE entity = ?
    """,
)
ALL_ENTITIES: Final = """
    SELECT path, kind, declared, entry, created_at_ms, updated_at_ms
    FROM entities
    ORDER BY path
"""
ALL_MESSAGES: Final = """
    SELECT id, queue, sequence, enqueued_sequence, enqueued_at_ms, expires_at_ms, delivery_count,
        content, due_at_ms, deferred
    FROM messages
    ORDER BY id
"""
ALL_COUNTERS: Final = """
    SELECT name, value
    FROM counters
    ORDER BY name
"""
ALL_SESSIONS: Final = """
    SELECT queue, session, state
    FROM sessions
    ORDER BY queue, session
"""
ALL_MESSAGE_IDS: Final = """
    SELECT entity, message_id, until_ms
    FROM message_ids
    ORDER BY until_ms, entity, message_id
"""


class PutEntity(NamedTuple):
    """A queue, topic or subscription is as `entry` says, in JSON; None says that it was deleted.

    `declared` is what the topology file said of it at that time, None when it was not in there.
    """

    path: str
    kind: str
    declared: str | None
    entry: str | None
    created_at_ms: int
    updated_at_ms: int


class ForgetEntity(NamedTuple):
    """Nothing is known of an entity any more."""

    path: str


class Empty(NamedTuple):
    """All messages of a queue or topic are gone, and everything else that was kept with it."""

    name: str


class Insert(NamedTuple):
    """A message enters a queue. `id` is unique in the store and never given twice.

    With a due time it only waits there: the queue (or topic) takes it in when it is due.
    """

    id: int
    queue: str
    sequence: int
    enqueued_sequence: int
    enqueued_at_ms: int
    expires_at_ms: int | None
    delivery_count: int
    content: bytes
    due_at_ms: int | None = None
    deferred: int = 0


class Delete(NamedTuple):
    """A message is gone for good."""

    id: int


class CountDelivery(NamedTuple):
    """A delivery of a message failed."""

    delivery_count: int
    id: int


class Rewrite(NamedTuple):
    """A receiver changed properties of a message."""

    content: bytes
    id: int


class Defer(NamedTuple):
    """A message is set aside: from now on it is received by its sequence number only."""

    id: int


class Advance(NamedTuple):
    """A counter moved on; its old values are never given again, even when their rows are gone."""

    name: str
    value: int


class SetSessionState(NamedTuple):
    """What the receivers of a session keep with it; None clears it."""

    queue: str
    session: str
    state: bytes | None


class RememberId(NamedTuple):
    """A message with this id has come: another one until then is a duplicate."""

    entity: str
    message_id: str
    until_ms: int


class ForgetIds(NamedTuple):
    """Message ids whose time has passed."""

    entity: str
    now_ms: int


type Change = (
    Insert
    | Delete
    | CountDelivery
    | Rewrite
    | Defer
    | Advance
    | SetSessionState
    | RememberId
    | ForgetIds
    | PutEntity
    | ForgetEntity
    | Empty
)


class Stored(NamedTuple):
    """Everything a store holds; messages in the order of arrival, ids in that of their expiry."""

    messages: list[Insert]
    counters: dict[str, int]
    sessions: list[SetSessionState]
    message_ids: list[RememberId]
    entities: list[PutEntity]


def statements(changes: Sequence[Change]) -> Iterable[tuple[str, list[tuple[object, ...]]]]:
    """SQL and its rows for all of the changes; of changes to one counter or state the last wins.

    What empties a queue stands between what came before and what comes after.
    """
    start = 0
    for at, change in enumerate(changes):
        if isinstance(change, Empty):
            yield from _grouped(changes[start:at])
            for statement in _EMPTY:
                yield statement, [tuple(change)]
            start = at + 1
    yield from _grouped(changes[start:] if start else changes)


def _grouped(changes: Sequence[Change]) -> Iterable[tuple[str, list[tuple[object, ...]]]]:
    counters = {change.name: change for change in changes if isinstance(change, Advance)}
    states = {c[:2]: c for c in changes if isinstance(c, SetSessionState)}
    cleared = [key for key, change in states.items() if change.state is None]
    for sql, kind in (
        (_INSERT, Insert),
        (_COUNT_DELIVERY, CountDelivery),
        (_REWRITE, Rewrite),
        (_DEFER, Defer),
        (_DELETE, Delete),
        (_REMEMBER_ID, RememberId),
        (_FORGET_IDS, ForgetIds),
        (_FORGET_ENTITY, ForgetEntity),
        (_PUT_ENTITY, PutEntity),
    ):
        yield sql, [tuple(change) for change in changes if isinstance(change, kind)]
    yield _ADVANCE, [tuple(change) for change in counters.values()]
    yield _SET_STATE, [tuple(change) for change in states.values()]
    yield _CLEAR_STATES, [tuple(key) for key in cleared]
