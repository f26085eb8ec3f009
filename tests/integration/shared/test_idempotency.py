"""Idempotency keys against a real PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest
from psycopg.errors import UniqueViolation
from uuid_utils.compat import uuid7

from shared import idempotency
from shared.db import Database
from shared.idempotency import IdempotencyKey, fingerprint
from shared.problem import IdempotencyKeyReused


def new_key() -> IdempotencyKey:
    return IdempotencyKey(uuid7(), "place_order", "k-1", fingerprint("", {"quantity": 1}))


async def ask(database: Database, key: IdempotencyKey, answer: str) -> tuple[str, bool]:
    """What the caller is answered, and whether the work was done for it."""
    async with database.transaction() as tx:
        if (first := await idempotency.replay(tx, key)) is not None:
            return first, False
        await asyncio.sleep(0.01)  # the work; long enough for the others to come in
        await idempotency.remember(tx, key, answer)
        return answer, True


async def test_the_same_request_again_gets_the_first_answer_again(database: Database) -> None:
    key = new_key()
    assert await ask(database, key, '{"id":1}') == ('{"id":1}', True)
    assert await ask(database, key, '{"id":2}') == ('{"id":1}', False)


async def test_ten_at_once_do_the_work_once(database: Database) -> None:
    key = new_key()
    answers = await asyncio.gather(*(ask(database, key, f'{{"id":{n}}}') for n in range(10)))
    assert sum(worked for _, worked in answers) == 1
    assert len({answer for answer, _ in answers}) == 1


async def test_another_request_under_the_same_key_is_refused(database: Database) -> None:
    key = new_key()
    await ask(database, key, "{}")
    with pytest.raises(IdempotencyKeyReused):
        await ask(database, replace(key, fingerprint=fingerprint("", {"quantity": 2})), "{}")
    assert await ask(database, key, "other") == ("{}", False)


async def test_a_request_that_failed_leaves_its_key_free(database: Database) -> None:
    key = new_key()

    async def fail() -> None:
        async with database.transaction() as tx:
            assert await idempotency.replay(tx, key) is None
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    corrected = replace(key, fingerprint=fingerprint("", {"quantity": 2}))
    assert await ask(database, corrected, "{}") == ("{}", True)


async def test_who_waits_for_a_request_that_fails_does_the_work(database: Database) -> None:
    key = new_key()
    claimed, fail = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with database.transaction() as tx:
            assert await idempotency.replay(tx, key) is None
            claimed.set()
            await fail.wait()
            raise LookupError

    failing = asyncio.create_task(first())
    await claimed.wait()
    second = asyncio.create_task(ask(database, key, "{}"))
    done, _ = await asyncio.wait({second}, timeout=0.05)
    assert done == set()
    fail.set()
    with pytest.raises(LookupError):
        await failing
    assert await second == ("{}", True)


async def test_a_key_is_one_caller_s_and_one_operation_s(database: Database) -> None:
    key = new_key()
    assert await ask(database, key, "1") == ("1", True)
    assert await ask(database, replace(key, caller_id=uuid7()), "2") == ("2", True)
    assert await ask(database, replace(key, operation="refund_payment"), "3") == ("3", True)
    assert await ask(database, replace(key, key="k-2"), "4") == ("4", True)


def test_a_fingerprint_does_not_depend_on_the_order_of_names() -> None:
    one = fingerprint("/orders", {"a": 1, "b": {"c": [1, 2], "d": "ä"}})
    assert one == fingerprint("/orders", {"b": {"d": "ä", "c": [1, 2]}, "a": 1})
    assert one != fingerprint("/orders", {"a": 1, "b": {"c": [2, 1], "d": "ä"}})
    assert one != fingerprint("/refunds", {"a": 1, "b": {"c": [1, 2], "d": "ä"}})
    assert len(one) == 64


async def test_only_old_keys_are_pruned(database: Database) -> None:
    old = [new_key() for _ in range(3)]
    async with database.transaction() as tx:
        await tx.execute("TRUNCATE messaging.idempotency_keys")
    for key in old:
        await ask(database, key, "{}")
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE messaging.idempotency_keys SET created_at = now() - interval '8 days'"
        )
    fresh = new_key()
    await ask(database, fresh, "first")
    async with database.transaction() as tx:
        assert [await idempotency.prune(tx, limit=2) for _ in range(3)] == [2, 1, 0]
    assert await ask(database, fresh, "second") == ("first", False)


async def take(database: Database, key: IdempotencyKey, answer: str) -> None:
    with idempotency.unless_taken():
        async with database.pipelined() as tx:
            await idempotency.take(tx, key, answer)


async def test_a_key_is_taken_once_and_tells_its_answer(database: Database) -> None:
    key = new_key()
    takes = (take(database, key, f'{{"id":{n}}}') for n in range(10))
    outcomes = await asyncio.gather(*takes, return_exceptions=True)
    assert outcomes.count(None) == 1
    assert all(isinstance(outcome, idempotency.Taken) for outcome in outcomes if outcome)
    assert await ask(database, key, "other") == (f'{{"id":{outcomes.index(None)}}}', False)


async def test_only_a_taken_key_is_called_taken(database: Database) -> None:
    async def repeat() -> None:
        with idempotency.unless_taken():
            async with database.pipelined() as tx:
                await tx.execute("CREATE TEMPORARY TABLE things (id integer PRIMARY KEY)")
                await tx.execute("INSERT INTO things VALUES (1), (1)")

    with pytest.raises(UniqueViolation):
        await repeat()
