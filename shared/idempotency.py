"""Idempotency-Key: the same request again gets the first answer again (kept in PostgreSQL)."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from psycopg.errors import UniqueViolation
from pydantic import JsonValue

from shared.db import Transaction
from shared.problem import IdempotencyKeyReused

KEPT_DAYS = 7

CLAIM = """
    INSERT INTO messaging.idempotency_keys (caller_id, operation, key, fingerprint)
    VALUES (%(caller_id)s, %(operation)s, %(key)s, %(fingerprint)s)
    ON CONFLICT (caller_id, operation, key) DO NOTHING
    RETURNING true
"""
TAKE = """
    INSERT INTO messaging.idempotency_keys (caller_id, operation, key, fingerprint, answer)
    VALUES (%(caller_id)s, %(operation)s, %(key)s, %(fingerprint)s, %(answer)s)
"""
FIRST_ANSWER = """
    SELECT fingerprint, answer
    FROM messaging.idempotency_keys
    WHERE caller_id = %(caller_id)s AND operation = %(operation)s AND key = %(key)s
"""
REMEMBER = """
    UPDATE messaging.idempotency_keys
    SET answer = %(answer)s
    WHERE caller_id = %(caller_id)s AND operation = %(operation)s AND key = %(key)s
"""
PRUNE = """
    DELETE FROM messaging.idempotency_keys
    WHERE (caller_id, operation, key) IN (
        SELECT caller_id, operation, key
        FROM messaging.idempotency_keys
        WHERE created_at < now() - make_interval(days => %(days)s)
        ORDER BY created_at
        LIMIT %(limit)s
    )
"""


class Taken(Exception):
    """The key was used before: `replay` tells its answer."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What one caller calls one request of one operation; `fingerprint` is the request's."""

    caller_id: UUID
    operation: str
    key: str
    fingerprint: str


def fingerprint(path: str, body: JsonValue) -> str:
    """SHA-256, hexadecimal, of the path and the body's canonical JSON."""
    canonical = json.dumps([path, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


async def replay(tx: Transaction, key: IdempotencyKey) -> str | None:
    """The answer (JSON) given to `key` before; None if it is new, and claimed by `tx` now.

    While another transaction holds the key this waits for its end: then it replays what that
    one committed, or claims the key if that one rolled back. After None, call `remember` in the
    same transaction. Raises IdempotencyKeyReused if `key` came with another request.
    """
    claim = await tx.execute(CLAIM, _names(key))
    if await claim.fetchone() is not None:
        return None
    row = await (await tx.execute(FIRST_ANSWER, _names(key))).fetchone()
    assert row is not None, "keys are pruned days after their request"
    if row[0] != key.fingerprint:
        raise IdempotencyKeyReused("this Idempotency-Key already belongs to a different request")
    assert row[1] is not None, "a key is committed together with its answer"
    answer: str = row[1]
    return answer


async def take(tx: Transaction, key: IdempotencyKey, answer: str) -> None:
    """Claim `key` together with its `answer` (JSON), for a request whose answer is known before.

    For a pipelined transaction, which need not wait for it. Where the key has been taken the
    transaction fails, after waiting for another one that holds it: see `unless_taken`.
    """
    await tx.execute(TAKE, {**_names(key), "answer": answer})


@contextlib.contextmanager
def unless_taken() -> Iterator[None]:
    """Raises Taken when the transaction inside fails because `take` came second."""
    try:
        yield
    except UniqueViolation as fault:
        if fault.diag.constraint_name != "idempotency_keys_pkey":
            raise
        raise Taken from fault


async def remember(tx: Transaction, key: IdempotencyKey, answer: str) -> None:
    """Keep `answer` (JSON) for the key that `replay` claimed in this transaction."""
    await tx.execute(REMEMBER, {**_names(key), "answer": answer})


async def prune(tx: Transaction, *, limit: int) -> int:
    """Forget at most `limit` keys older than a week, oldest first; how many that were."""
    return (await tx.execute(PRUNE, {"days": KEPT_DAYS, "limit": limit})).rowcount


def _names(key: IdempotencyKey) -> dict[str, UUID | str]:
    return {
        "caller_id": key.caller_id,
        "operation": key.operation,
        "key": key.key,
        "fingerprint": key.fingerprint,
    }
