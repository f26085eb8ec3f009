"""Readiness against a real PostgreSQL and real ports."""

import asyncio

import pytest

from blueprints.admin import service
from blueprints.admin.gateway import listens
from blueprints.admin.models import Readiness
from blueprints.admin.service import Health
from shared.db import Database
from shared.problem import PartnerUnavailable
from shared.resilience import Breaker


async def test_a_migrated_database_is_ready_whatever_else_is_down(database: Database) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    probes = {
        "broker": listens(f"sb://127.0.0.1:{port}"),
        "redis": listens("redis://127.0.0.1:1/0"),
    }
    health = Health(database, schemas=["messaging"], probes=probes)
    assert await health.readiness() == Readiness(
        status="ready", dependencies={"database": "up", "broker": "up", "redis": "down"}
    )
    server.close()


async def test_a_database_that_is_not_migrated_is_not_ready(database: Database) -> None:
    health = Health(database, schemas=["messaging", "not_yet"], probes={})
    assert await health.readiness() == Readiness(
        status="unready", dependencies={"database": "down"}
    )


async def test_a_probe_that_hangs_is_down(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PROBE_TIMEOUT_S", 0.05)

    async def hang() -> None:
        await asyncio.Event().wait()

    async with database.reading():  # the pool is open: its first connection is no part of this
        health = Health(database, schemas=[], probes={"erp": hang})
        assert (await health.readiness()).dependencies == {"database": "up", "erp": "down"}


async def test_many_who_ask_cause_one_look(database: Database) -> None:
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1

    health = Health(database, schemas=[], probes={"erp": look})
    await asyncio.gather(*(health.readiness() for _ in range(50)))
    assert looks == 1


async def test_partners_that_are_left_alone_are_named(database: Database) -> None:
    resting, fine = Breaker("the bank", faults=1), Breaker("the carrier")
    with pytest.raises(PartnerUnavailable), resting.calling():
        raise PartnerUnavailable("timeout")
    breakers = {"payment_gateway": resting, "shipping": fine}
    health = Health(database, schemas=[], probes={}, breakers=breakers)

    readiness = await health.readiness()

    assert readiness.circuits == {"payment_gateway": "open", "shipping": "closed"}
    assert readiness.status == "ready"
