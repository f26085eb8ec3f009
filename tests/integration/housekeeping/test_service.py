"""Housekeeping against a real PostgreSQL."""

import logging

import pytest
from uuid_utils.compat import uuid7

from blueprints.housekeeping.service import RELAYED_AFTER_S, Housekeeping
from shared import inbox, outbox
from shared.db import Database


class Relay:
    def __init__(self, sent: int = 0, fault: Exception | None = None) -> None:
        self._sent, self._fault = sent, fault

    async def relay(self, limit: int = 10, *, older_than_s: float = 0.0) -> int:  # noqa: ARG002 - as the dispatcher's
        assert older_than_s == RELAYED_AFTER_S
        if self._fault is not None:
            raise self._fault
        return self._sent

    async def lag_s(self) -> float:
        return 90.0


async def test_the_timer_relays(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert await Housekeeping(database, Relay(3)).relay_outbox() == 3
        assert await Housekeeping(database, Relay(0)).relay_outbox() == 0
    assert caplog.messages == ["relayed 3 events"]


async def test_a_broker_that_is_away_does_not_fail_the_timer(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert await Housekeeping(database, Relay(fault=ConnectionError())).relay_outbox() == 0
    (message,) = caplog.messages
    assert message.startswith("outbox lag 90 s: builtins.ConnectionError | ")


async def test_everything_kept_long_enough_is_forgotten(database: Database) -> None:
    async with database.transaction() as tx:
        for _ in range(3):
            await outbox.append(
                tx, topic="order-events", type_="order.placed.v1", aggregate_id=uuid7(), data={}
            )
        await tx.execute("UPDATE messaging.outbox SET sent_at = now() - interval '8 days'")
        await tx.execute("UPDATE messaging.publications SET published_at = now()")
        await inbox.claim(tx, "orders-saga", "old")
        await tx.execute("UPDATE messaging.inbox SET received_at = now() - interval '31 days'")
        await inbox.claim(tx, "orders-saga", "new")
        await tx.execute(
            """
            INSERT INTO messaging.idempotency_keys
                (caller_id, operation, key, fingerprint, answer, created_at)
            SELECT gen_random_uuid(), 'place_order', 'k', 'f', '{}', now() - interval '8 days'
            FROM generate_series(1, 2500)
            """
        )
    housekeeping = Housekeeping(database, Relay())
    assert await housekeeping.prune() == 3 + 2500 + 1
    assert await housekeeping.prune() == 0
    async with database.reading() as tx:
        kept = await tx.execute("SELECT event_id FROM messaging.inbox")
        assert await kept.fetchall() == [("new",)]
